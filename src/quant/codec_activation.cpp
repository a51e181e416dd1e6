#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "quant/codec.h"
#include "quant/codec_parts.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

float largest_code(DType codes) {
  return codes == DType::kI8 ? 127.0f : 448.0f;
}

float largest_magnitude(const float* values, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::fmax(largest, std::fabs(values[i]));
  return largest;
}

// max|x| / largest code; 1 where that has no normal inverse.
float dynamic_scale(float largest, DType codes) {
  const float scale = largest / largest_code(codes);
  return scale < std::numeric_limits<float>::min() ? 1.0f : scale;
}

// Codes are rounded from x * (1 / scale), the form every kernel uses.
void write_codes(const float* x, int64_t begin, int64_t count, float scale, Activation& out) {
  const float inverse = 1.0f / scale;
  for (int64_t i = 0; i < count; ++i) {
    if (out.format.codes == DType::kF8E4M3) {
      const uint8_t bits = f32_to_f8e4m3(x[i] * inverse);
      const float value = f8e4m3_to_f32(bits);
      if (out.values.dtype() == DType::kF8E4M3) out.values.data<uint8_t>()[begin + i] = bits;
      if (out.values.dtype() == DType::kBF16) out.values.data<uint16_t>()[begin + i] = f32_to_bf16(value);
      if (out.values.dtype() == DType::kF32) out.values.f32()[begin + i] = value;
      continue;
    }
    const float code = std::nearbyint(std::fmin(std::fmax(x[i] * inverse, -127.0f), 127.0f));
    if (out.values.dtype() == DType::kI8) out.values.data<int8_t>()[begin + i] = static_cast<int8_t>(code);
    if (out.values.dtype() == DType::kU8) out.values.data<uint8_t>()[begin + i] = static_cast<uint8_t>(code + 128.0f);
    if (out.values.dtype() == DType::kBF16) out.values.data<uint16_t>()[begin + i] = f32_to_bf16(code);
    if (out.values.dtype() == DType::kF32) out.values.f32()[begin + i] = code;
  }
}

void check_format(const ActFormat& format) {
  const bool floats = format.storage == DType::kF32 || format.storage == DType::kBF16;
  const bool integers = format.storage == DType::kI8 || format.storage == DType::kU8;
  bool fits = floats;
  if (format.quant != ActQuant::kNone && format.codes == DType::kI8) fits = floats || integers;
  if (format.quant != ActQuant::kNone && format.codes == DType::kF8E4M3)
    fits = floats || format.storage == DType::kF8E4M3;
  if (!fits || format.quant == ActQuant::kPerGroup)
    throw Error(
        "activation",
        "codes " + std::string(dtype_name(format.codes)) + " stored as " + std::string(dtype_name(format.storage)),
        "i8 as i8, u8, bf16 or f32, or f8e4m3 as f8e4m3, bf16 or f32; per token, per tensor or static");
}

}  // namespace

Activation quantize_activation(const Tensor& x, const ActFormat& format) {
  assert(x.dtype() == DType::kF32);
  check_format(format);
  if (format.quant == ActQuant::kNone) return {format, cast(x, format.storage), {}};
  const int64_t rows = x.rows(), cols = x.cols();
  const bool per_token = format.quant == ActQuant::kPerToken;
  Activation out{format, Tensor(format.storage, Shape{rows, cols}), Tensor(DType::kF32, Shape{per_token ? rows : 1})};
  float shared = format.static_scale;
  if (format.quant == ActQuant::kPerTensor) {
    float largest = 0;
    for (int64_t row = 0; row < rows; ++row)
      largest = std::max(largest, largest_magnitude(x.f32() + row * x.row_stride(), cols));
    shared = dynamic_scale(largest, format.codes);
  }
  if (!per_token) out.scales.f32()[0] = shared;
  for (int64_t row = 0; row < rows; ++row) {
    const float* source = x.f32() + row * x.row_stride();
    const float scale = per_token ? dynamic_scale(largest_magnitude(source, cols), format.codes) : shared;
    if (per_token) out.scales.f32()[row] = scale;
    write_codes(source, row * cols, cols, scale, out);
  }
  return out;
}

Tensor dequantize_activation(const Activation& x) {
  Tensor out = to_f32(x.values);
  if (x.format.quant == ActQuant::kNone) return out;
  const float offset = x.values.dtype() == DType::kU8 ? 128.0f : 0.0f;
  const int64_t cols = out.cols();
  for (int64_t row = 0; row < out.rows(); ++row) {
    const float scale = x.scales.f32()[x.format.quant == ActQuant::kPerToken ? row : 0];
    float* values = out.f32() + row * cols;
    for (int64_t col = 0; col < cols; ++col) values[col] = (values[col] - offset) * scale;
  }
  return out;
}

}  // namespace omni
