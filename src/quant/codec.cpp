#include "quant/codec.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "quant/codec_parts.h"
#include "quant/rotation.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

void decode_floats(const Tensor& values, int64_t row, std::span<float> out) {
  const int64_t begin = row * values.row_stride();
  for (size_t col = 0; col < out.size(); ++col) {
    const int64_t i = begin + static_cast<int64_t>(col);
    if (values.dtype() == DType::kF32) out[col] = values.f32()[i];
    if (values.dtype() == DType::kBF16) out[col] = bf16_to_f32(values.data<uint16_t>()[i]);
    if (values.dtype() == DType::kF16) out[col] = f16_to_f32(values.data<uint16_t>()[i]);
  }
}

// The value of every code of a row, before scales.
void decode_codes(const Weight& weight, int64_t row, std::span<float> out) {
  const DType dtype = weight.scheme.codes;
  const std::span<const float> values = code_values(dtype);
  const auto* bytes = weight.codes.data<uint8_t>() + storage_bytes(dtype, row * weight.codes.row_stride());
  if (is_nibble(dtype)) {
    for (size_t col = 0; col < out.size(); ++col) out[col] = values[(bytes[col / 2] >> (col % 2 * 4)) & 0xf];
  } else {
    for (size_t col = 0; col < out.size(); ++col) out[col] = values[bytes[col]];
  }
}

// What a group of columns shares: value = (code - point) * scale - minimum.
struct GroupScale {
  float scale, point = 0, minimum = 0;
  float value(float code) const { return (code - point) * scale - minimum; }
};

GroupScale group_scale(const Weight& weight, int64_t row, int64_t group) {
  const QuantScheme& scheme = weight.scheme;
  const ScaleSpec& outer_spec = scheme.outer_scale;
  const int64_t scale_row = group_of(row, scheme.scale.group.rows), outer_row = group_of(row, outer_spec.group.rows);
  GroupScale out{read_scale(weight.scales, scale_row, group)};
  if (scheme.zero == Zero::kPoint) out.point = weight.zeros.f32()[scale_row * weight.zeros.row_stride() + group];
  if (scheme.zero == Zero::kMinimum) out.minimum = read_scale(weight.zeros, scale_row, group);
  if (outer_spec.dtype == DType::kNone) return out;
  const int64_t outer = group_of(group * scheme.scale.group.cols, outer_spec.group.cols);
  out.scale *= read_scale(weight.outer_scales, outer_row, outer);
  if (scheme.zero == Zero::kMinimum) out.minimum *= read_scale(weight.outer_zeros, outer_row, outer);
  return out;
}

void scale_by_position(const Weight& weight, int64_t row, std::span<float> out) {
  const int64_t width = weight.scheme.scale.group.cols == 0 ? weight.cols : weight.scheme.scale.group.cols;
  for (int64_t begin = 0, group = 0; begin < weight.cols; begin += width, ++group) {
    const GroupScale scale = group_scale(weight, row, group);
    const int64_t count = std::min(width, weight.cols - begin);
    for (float& value : out.subspan(static_cast<size_t>(begin), static_cast<size_t>(count))) value = scale.value(value);
  }
}

void scale_by_order(const Weight& weight, int64_t row, std::span<float> out) {
  std::vector<GroupScale> scales;
  for (int64_t group = 0; group < weight.scales.cols(); ++group) scales.push_back(group_scale(weight, row, group));
  const auto* order = weight.order.data<int32_t>();
  for (size_t col = 0; col < out.size(); ++col) out[col] = scales[static_cast<size_t>(order[col])].value(out[col]);
}

void add_low_rank(const Weight& weight, int64_t row, std::span<float> out) {
  std::vector<float> up(static_cast<size_t>(weight.scheme.low_rank)), down(out.size());
  std::vector<double> sums(out.begin(), out.end());
  decode_floats(weight.low_rank_up, row, up);
  for (size_t rank = 0; rank < up.size(); ++rank) {
    decode_floats(weight.low_rank_down, static_cast<int64_t>(rank), down);
    for (size_t col = 0; col < sums.size(); ++col) sums[col] += static_cast<double>(up[rank]) * down[col];
  }
  for (size_t col = 0; col < out.size(); ++col) out[col] = static_cast<float>(sums[col]);
}

}  // namespace

void decode_row(const Weight& weight, int64_t row, std::span<float> out) {
  assert(weight.layout == Layout::kCanonical && static_cast<int64_t>(out.size()) == weight.cols);
  if (!weight.scheme.quantized()) return decode_floats(weight.codes, row, out);
  decode_codes(weight, row, out);
  if (weight.scheme.ordered)
    scale_by_order(weight, row, out);
  else
    scale_by_position(weight, row, out);
  if (weight.scheme.rotation != 0) rotate_blocks(out, weight.scheme.rotation);
  if (weight.scheme.smooth) {
    for (size_t col = 0; col < out.size(); ++col) out[col] *= weight.smooth.f32()[col];
  }
  if (weight.scheme.low_rank != 0) add_low_rank(weight, row, out);
}

Tensor decode(const Weight& weight) {
  Tensor out(DType::kF32, Shape{weight.rows, weight.cols});
  for (int64_t row = 0; row < weight.rows; ++row)
    decode_row(weight, row, {out.f32() + row * weight.cols, static_cast<size_t>(weight.cols)});
  return out;
}

int code_at(const Weight& weight, int64_t row, int64_t col) {
  const DType dtype = weight.scheme.codes;
  const auto* bytes = weight.codes.data<uint8_t>() + storage_bytes(dtype, row * weight.codes.row_stride());
  const int bits = is_nibble(dtype) ? (bytes[col / 2] >> (col % 2 * 4)) & 0xf : bytes[col];
  if (dtype_info(dtype).is_float) return bits;
  return static_cast<int>(code_values(dtype)[static_cast<size_t>(bits)]);
}

double relative_error(const Tensor& values, const Weight& weight) {
  assert(values.rows() == weight.rows && values.cols() == weight.cols);
  std::vector<float> row_values(static_cast<size_t>(weight.cols));
  double wrong = 0, all = 0;
  for (int64_t row = 0; row < weight.rows; ++row) {
    decode_row(weight, row, row_values);
    const float* want = values.f32() + row * values.row_stride();
    for (int64_t col = 0; col < weight.cols; ++col) {
      const double d = static_cast<double>(row_values[static_cast<size_t>(col)]) - want[col];
      wrong += d * d;
      all += static_cast<double>(want[col]) * want[col];
    }
  }
  return all == 0 ? std::sqrt(wrong) : std::sqrt(wrong / all);
}

}  // namespace omni
