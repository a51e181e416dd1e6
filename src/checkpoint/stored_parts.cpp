#include "checkpoint/stored_parts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
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

constexpr std::string_view kGoodScale = "a finite scale > 0";

// True for the exponent bits all set (E5M2) or all bits set (E4M3): NaN or infinity.
bool is_bad_code(DType dtype, uint8_t code) {
  if (dtype == DType::kF8E4M3) return (code & 0x7f) == 0x7f;
  return (code & 0x7c) == 0x7c;
}

// What a tensor's name says about the KV cache.
struct KvPart {
  std::string_view suffix;  // after the attention module's name
  bool key, value;
};
constexpr std::array kKvParts = {
    KvPart{".k_scale", true, false},
    KvPart{".v_scale", false, true},
    KvPart{".k_proj.k_scale", true, false},
    KvPart{".v_proj.v_scale", false, true},
    KvPart{".qkv_proj.k_scale", true, false},
    KvPart{".qkv_proj.v_scale", false, true},
    KvPart{".k_proj.output_scale", true, false},
    KvPart{".v_proj.output_scale", false, true},
    KvPart{".kv_scale", true, true},
};

struct Found {
  std::string key, value;  // tensors
};

// The largest of the scales, one a head or one in all.
float read_head_scales(const Checkpoint& checkpoint, const std::string& tensor) {
  check_dtype(checkpoint, tensor, {DType::kF32, DType::kF16, DType::kBF16});
  const Checkpoint::Entry& entry = *checkpoint.find(tensor);
  const std::string where = tensor_where(checkpoint, tensor);
  int extents = 0;
  for (int axis = 0; axis < entry.shape.rank(); ++axis) extents += entry.shape[axis] != 1 ? 1 : 0;
  if (extents > 1 || entry.shape.count() == 0 || entry.shape.count() > 4096)
    throw Error(where, "is of shape " + entry.shape.text(), "one scale, or one a head");
  const Tensor scales = to_f32(checkpoint.tensor(tensor));
  float largest = 0;
  for (const float scale : std::span(scales.f32(), static_cast<size_t>(entry.shape.count()))) {
    if (!std::isfinite(scale) || scale <= 0) throw Error(where, "is " + number_text(scale), std::string(kGoodScale));
    largest = std::max(largest, scale);
  }
  return largest;
}

}  // namespace

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
                    (cols == 1 && shape == Shape{rows}) || (rows == 1 && cols == 1 && shape == Shape{});
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

std::map<std::string, KvScales, std::less<>> read_kv_scales(const Checkpoint& checkpoint) {
  std::map<std::string, Found, std::less<>> found;
  for (const std::string& name : checkpoint.names()) {
    if (!name.ends_with("_scale")) continue;
    const KvPart* best = nullptr;
    for (const KvPart& part : kKvParts) {
      if (name.ends_with(part.suffix) && (best == nullptr || part.suffix.size() > best->suffix.size())) best = &part;
    }
    if (best == nullptr) continue;
    Found& at = found[name.substr(0, name.size() - best->suffix.size())];
    if (best->key) at.key = name;
    if (best->value) at.value = name;
  }
  std::map<std::string, KvScales, std::less<>> out;
  for (const auto& [attention, tensors] : found) {
    if (tensors.key.empty() || tensors.value.empty()) {
      const std::string& there = tensors.key.empty() ? tensors.value : tensors.key;
      throw Error(tensor_where(checkpoint, there), "scales half of the KV cache of " + attention,
                  "a scale of the keys and one of the values");
    }
    out[attention] = {read_head_scales(checkpoint, tensors.key), read_head_scales(checkpoint, tensors.value)};
  }
  return out;
}

}  // namespace omni
