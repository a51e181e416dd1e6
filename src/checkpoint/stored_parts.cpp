#include "checkpoint/stored_parts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "quant/codec_parts.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

std::string place_text(int64_t row, int64_t col) {
  return " at [" + std::to_string(row) + ", " + std::to_string(col) + "]";
}

std::string number_text(float value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "Inf";
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// Parts that only a quantized weight has, in any of the spellings read here.
constexpr std::array<std::string_view, 7> kQuantizedParts = {"scale_weight",     "weight_g_idx",   "weight_packed",
                                                             "weight_scale",     "weight_scale_2", "weight_scale_inv",
                                                             "weight_zero_point"};

constexpr std::string_view kGoodScale = "a finite scale > 0";

// True for the exponent bits all set (E5M2) or all bits set (E4M3): NaN or infinity.
bool is_bad_code(DType dtype, uint8_t code) {
  if (dtype == DType::kF8E4M3) return (code & 0x7f) == 0x7f;
  return (code & 0x7c) == 0x7c;
}

}  // namespace

int64_t stored_bytes(const Checkpoint& checkpoint, const std::vector<std::string>& tensors) {
  int64_t bytes = 0;
  for (const std::string& tensor : tensors) {
    const Checkpoint::Entry* entry = checkpoint.find(tensor);
    bytes += storage_bytes(entry->dtype, entry->shape.count());
  }
  return bytes;
}

std::string tensor_where(const Checkpoint& checkpoint, std::string_view tensor) {
  const Checkpoint::Entry* entry = checkpoint.find(tensor);
  return (entry == nullptr ? checkpoint.where() : entry->file.string()) + ": " + std::string(tensor);
}

const Checkpoint::Entry& need_entry(const Checkpoint& checkpoint, std::string_view tensor, std::string_view what) {
  const Checkpoint::Entry* entry = checkpoint.find(tensor);
  if (entry == nullptr)
    throw Error(tensor_where(checkpoint, tensor), "no such tensor",
                std::string(tensor) + ", because " + std::string(what));
  return *entry;
}

void check_dtype(const Checkpoint& checkpoint, std::string_view tensor, std::initializer_list<DType> dtypes) {
  const DType found = checkpoint.find(tensor)->dtype;
  if (std::ranges::find(dtypes, found) != dtypes.end()) return;
  std::string expected;
  for (const DType dtype : dtypes) expected += (expected.empty() ? "" : " or ") + std::string(dtype_name(dtype));
  throw Error(tensor_where(checkpoint, tensor), "is of dtype " + std::string(dtype_name(found)), expected);
}

void check_grid(const Checkpoint& checkpoint, std::string_view tensor, int64_t rows, int64_t cols) {
  const Shape& shape = checkpoint.find(tensor)->shape;
  const bool fits = shape == Shape{rows, cols} || shape == Shape{rows, 1, cols, 1} || shape == Shape{rows, cols, 1} ||
                    (cols == 1 && shape == Shape{rows}) || (rows == 1 && shape == Shape{cols}) ||
                    (rows == 1 && cols == 1 && shape == Shape{});
  if (!fits)
    throw Error(tensor_where(checkpoint, tensor), "is of shape " + shape.text(), "shape " + Shape{rows, cols}.text());
}

void check_single(const Checkpoint& checkpoint, std::string_view tensor) {
  const Shape& shape = checkpoint.find(tensor)->shape;
  if (shape.count() != 1)
    throw Error(tensor_where(checkpoint, tensor), "is of shape " + shape.text(), "one value, shape [] or [1]");
}

float read_single_scale(const Checkpoint& checkpoint, std::string_view tensor) {
  check_single(checkpoint, tensor);
  const float scale = *to_f32(checkpoint.tensor(tensor)).f32();
  if (!std::isfinite(scale) || scale <= 0)
    throw Error(tensor_where(checkpoint, tensor), "is " + number_text(scale), std::string(kGoodScale));
  return scale;
}

void check_scale_values(const Tensor& scales, ScaleSign sign, const std::string& where) {
  const bool exponents = scales.dtype() == DType::kF8E8M0;  // finite and positive but for one code
  for (int64_t row = 0; row < scales.rows(); ++row) {
    for (int64_t col = 0; col < scales.cols(); ++col) {
      const float scale = read_scale(scales, row, col);
      if (std::isfinite(scale) && (scale >= 0 || sign == ScaleSign::kAny)) continue;
      const std::string found = exponents ? "0xff, which is NaN," : number_text(scale);
      throw Error(where, "holds " + found + place_text(row, col), std::string(kGoodScale));
    }
  }
}

void check_zero_scales(const Weight& weight, const std::string& where) {
  const Group& group = weight.scheme.scale.group;
  const int64_t height = group.rows == 0 ? weight.rows : group.rows;
  for (int64_t g = 0; g < weight.scales.rows(); ++g) {
    for (int64_t k = 0; k < weight.scales.cols(); ++k) {
      if (read_scale(weight.scales, g, k) != 0) continue;
      const float point = weight.zeros.empty() ? 0 : read_scale(weight.zeros, g, k);
      for (int64_t row = g * height; row < std::min((g + 1) * height, weight.rows); ++row) {
        const Tensor codes = weight.codes.row_range(row, 1);
        for (int64_t col = 0; col < weight.cols; ++col) {
          const int64_t of = weight.order.empty() ? group_of(col, group.cols) : weight.order.data<int32_t>()[col];
          if (of != k) continue;
          const auto* bytes = codes.data<uint8_t>();
          const bool nibbles = is_nibble(weight.scheme.codes);
          const uint8_t code = nibbles ? (bytes[col / 2] >> (col % 2 * 4)) & 0xf : bytes[col];
          if (code_values(weight.scheme.codes)[code] == point) continue;
          throw Error(where, "holds 0" + place_text(g, k) + ", over codes that are not zero", std::string(kGoodScale));
        }
      }
    }
  }
}

void check_float_codes(const Tensor& codes, const std::string& where) {
  const DType dtype = codes.dtype();
  if (dtype != DType::kF8E4M3 && dtype != DType::kF8E5M2) return;
  for (int64_t row = 0; row < codes.rows(); ++row) {
    const auto* bytes = codes.data<uint8_t>() + row * codes.row_stride();
    uint8_t bad = 0;  // without a branch, so that it runs at the speed of memory
    for (int64_t col = 0; col < codes.cols(); ++col) bad |= static_cast<uint8_t>(is_bad_code(dtype, bytes[col]));
    if (bad == 0) continue;
    const auto* at = std::find_if(bytes, bytes + codes.cols(), [&](uint8_t code) { return is_bad_code(dtype, code); });
    const std::string value = number_text(code_values(dtype)[*at]);
    constexpr std::string_view kHex = "0123456789abcdef";
    throw Error(where,
                "holds 0x" + std::string{kHex[*at >> 4], kHex[*at & 0xf]} + ", which is " + value + "," +
                    place_text(row, at - bytes),
                "finite " + std::string(dtype_name(dtype)) + " codes");
  }
}

Evidence weight_evidence(const Checkpoint& checkpoint, std::string_view module) {
  const std::string prefix = std::string(module) + ".";
  for (const std::string_view part : kQuantizedParts) {
    if (checkpoint.find(prefix + std::string(part)) != nullptr) return Evidence::kQuantized;
  }
  const Checkpoint::Entry* weight = checkpoint.find(prefix + "weight");
  if (weight == nullptr || weight->shape.rank() != 2) return Evidence::kNone;
  const bool is_float = weight->dtype == DType::kF32 || weight->dtype == DType::kF16 || weight->dtype == DType::kBF16;
  return is_float ? Evidence::kFloat : Evidence::kQuantized;
}

std::optional<StoredWeight> describe_float(const Checkpoint& checkpoint, std::string_view module) {
  const std::string tensor = std::string(module) + ".weight";
  if (weight_evidence(checkpoint, module) == Evidence::kQuantized && checkpoint.find(tensor) != nullptr) {
    const DType dtype = checkpoint.find(tensor)->dtype;
    if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16)
      throw Error(tensor_where(checkpoint, tensor),
                  "holds " + std::string(dtype_name(dtype)) + " codes, though the config leaves the layer in float",
                  "an f32, f16 or bf16 weight");
  }
  return describe_plain(checkpoint, module);
}

}  // namespace omni
