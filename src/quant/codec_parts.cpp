#include "quant/codec_parts.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/float_bits.h"

namespace omni {
namespace {

template <class Decode>
std::array<float, 256> table(Decode decode) {
  std::array<float, 256> out;
  for (int i = 0; i < 256; ++i) out[static_cast<size_t>(i)] = decode(static_cast<uint8_t>(i));
  return out;
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

void for_rows(int64_t rows, int64_t cols, ThreadPool* pool, FunctionRef<void(int64_t row)> body) {
  const int64_t step = std::max<int64_t>(1, 8192 / std::max<int64_t>(1, cols));
  const auto chunk = [&](int64_t index, int) {
    for (int64_t row = index * step; row < std::min(rows, (index + 1) * step); ++row) body(row);
  };
  const int64_t chunks = (rows + step - 1) / step;
  if (pool != nullptr) return pool->parallel_for(chunks, chunk);
  for (int64_t index = 0; index < chunks; ++index) chunk(index, 0);
}

std::span<const float> code_values(DType codes) {
  static const auto kSigned = table([](uint8_t bits) { return static_cast<float>(static_cast<int8_t>(bits)); });
  static const auto kUnsigned = table([](uint8_t bits) { return static_cast<float>(bits); });
  static const auto kNibble = table([](uint8_t bits) { return static_cast<float>((bits & 7) - (bits & 8)); });
  static const auto kE4M3 = table(f8e4m3_to_f32);
  static const auto kE5M2 = table(f8e5m2_to_f32);
  static const auto kE2M1 = table(f4e2m1_to_f32);
  switch (codes) {
    case DType::kI8:
    case DType::kI5:
    case DType::kI6:
      return kSigned;
    case DType::kU8:
    case DType::kU5:
      return kUnsigned;
    case DType::kU4:
    case DType::kU3:
    case DType::kU2:
      return std::span(kUnsigned).first(16);
    case DType::kIQ4:
      return kIQ4Values;
    case DType::kFP4BNB:
      return kFP4BNBValues;
    case DType::kI4:
    case DType::kI3:
    case DType::kI2:
      return std::span(kNibble).first(16);
    case DType::kF8E4M3:
      return kE4M3;
    case DType::kF8E5M2:
      return kE5M2;
    case DType::kF4E2M1:
      return std::span(kE2M1).first(16);
    case DType::kNF4:
      return kNF4Values;
    case DType::kNone:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E8M0:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
      break;
  }
  assert(false && "not a code dtype");
  return {};
}

float read_scale(const Tensor& scales, int64_t row, int64_t col) {
  const int64_t i = row * scales.row_stride() + col;
  switch (scales.dtype()) {
    case DType::kF32:
      return scales.f32()[i];
    case DType::kF16:
      return f16_to_f32(scales.data<uint16_t>()[i]);
    case DType::kBF16:
      return bf16_to_f32(scales.data<uint16_t>()[i]);
    case DType::kF8E8M0:
      return f8e8m0_to_f32(scales.data<uint8_t>()[i]);
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kI8:
    case DType::kU8:
      return code_values(scales.dtype())[scales.data<uint8_t>()[i]];
    case DType::kNone:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI32:
    case DType::kI64:
    case DType::kI4:
    case DType::kU4:
    case DType::kI5:
    case DType::kU5:
    case DType::kI6:
    case DType::kBool:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      break;
  }
  assert(false && "not a scale dtype");
  return 0;
}

void read_scales(const Tensor& scales, int64_t row, std::span<float> out) {
  const DType dtype = scales.dtype();
  const std::byte* from = scales.raw() + storage_bytes(dtype, row * scales.row_stride());
  if (dtype == DType::kF32) {
    std::memcpy(out.data(), from, out.size_bytes());
  } else if (dtype == DType::kF16) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = f16_to_f32(reinterpret_cast<const uint16_t*>(from)[i]);
  } else if (dtype == DType::kBF16) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_f32(reinterpret_cast<const uint16_t*>(from)[i]);
  } else if (dtype == DType::kF8E8M0) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = f8e8m0_to_f32(static_cast<uint8_t>(from[i]));
  } else {
    const std::span<const float> values = code_values(dtype);
    for (size_t i = 0; i < out.size(); ++i) out[i] = values[static_cast<size_t>(from[i])];
  }
}

void write_scale(Tensor& scales, int64_t row, int64_t col, float value) {
  const int64_t i = row * scales.row_stride() + col;
  switch (scales.dtype()) {
    case DType::kF32:
      scales.f32()[i] = value;
      return;
    case DType::kF16:
      scales.data<uint16_t>()[i] = f32_to_f16(value);
      return;
    case DType::kBF16:
      scales.data<uint16_t>()[i] = f32_to_bf16(value);
      return;
    case DType::kF8E4M3:
      scales.data<uint8_t>()[i] = quick_f8e4m3(value);
      return;
    case DType::kF8E8M0:  // no zero here: an empty group keeps the scale 1
      scales.data<uint8_t>()[i] = value == 0 ? uint8_t{127} : static_cast<uint8_t>(std::ilogb(value) + 127);
      return;
    case DType::kI8:
      scales.data<int8_t>()[i] = static_cast<int8_t>(value);
      return;
    case DType::kU8:
      scales.data<uint8_t>()[i] = static_cast<uint8_t>(value);
      return;
    case DType::kNone:
    case DType::kF8E5M2:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI32:
    case DType::kI64:
    case DType::kI4:
    case DType::kU4:
    case DType::kI5:
    case DType::kU5:
    case DType::kI6:
    case DType::kBool:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      break;
  }
  assert(false && "not a scale dtype that is encoded");
}

float round_scale(DType dtype, float value) {
  if (dtype == DType::kF16) return f16_to_f32(f32_to_f16(value));
  if (dtype == DType::kBF16) return bf16_to_f32(f32_to_bf16(value));
  if (dtype == DType::kF8E4M3)
    return std::fabs(value) >= 464 ? kInfinity : f8e4m3_to_f32(quick_f8e4m3(value));  // 464: halfway to the next, 480
  if (dtype == DType::kF8E8M0) {
    if (value == 0) return 0;
    const float exponent = std::nearbyint(std::log2(std::fabs(value)));
    return exponent > 127 ? kInfinity : std::ldexp(1.0f, static_cast<int>(std::fmax(exponent, -126.0f)));
  }
  assert(dtype == DType::kF32);
  return value;
}

uint8_t quick_f8e4m3(float value) {
  const uint32_t all = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (all >> 24) & 0x80;
  const float magnitude = std::fabs(value) < 448.0f ? std::fabs(value) : 448.0f;
  if (magnitude < 0.015625f)  // subnormal: steps of 2^-9
    return static_cast<uint8_t>(sign | static_cast<uint32_t>(round_even(magnitude * 512.0f)));
  uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  bits += 0x7ffff + ((bits >> 20) & 1);
  return static_cast<uint8_t>(sign | ((bits >> 20) - (120u << 3)));
}

std::optional<float> exact_inverse(float outer) {
  const float middle = 1.0f / outer;
  if (!std::isnormal(middle)) return std::nullopt;
  const auto is_exact = [&](float inverse) {
    for (int mantissa = 8; mantissa < 16; ++mantissa) {  // of E4M3; powers of two change nothing
      const auto s = static_cast<float>(mantissa);
      if (s / inverse != s * outer) return false;
    }
    return true;
  };
  for (const float inverse : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, middle * 2)}) {
    if (is_exact(inverse)) return inverse;
  }
  return std::nullopt;
}

}  // namespace omni
