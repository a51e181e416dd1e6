#include "quant/codec.h"

#include <cassert>
#include <cmath>
#include <vector>

#include "quant/codec_parts.h"
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

}  // namespace

void decode_row(const Weight& weight, int64_t row, std::span<float> out) {
  assert(weight.layout == Layout::kCanonical && static_cast<int64_t>(out.size()) == weight.cols);
  if (!weight.scheme.quantized()) return decode_floats(weight.codes, row, out);
  decode_codes(weight, row, out);
  const ScaleSpec& spec = weight.scheme.scale;
  const ScaleSpec& outer_spec = weight.scheme.outer_scale;
  const int64_t scale_row = group_of(row, spec.group.rows), outer_row = group_of(row, outer_spec.group.rows);
  const int64_t width = spec.group.cols == 0 ? weight.cols : spec.group.cols;
  for (int64_t begin = 0, group = 0; begin < weight.cols; begin += width, ++group) {
    float scale = read_scale(weight.scales, scale_row, group);
    float minimum = 0, point = 0;
    if (weight.scheme.zero == Zero::kPoint) point = weight.zeros.f32()[scale_row * weight.zeros.row_stride() + group];
    if (weight.scheme.zero == Zero::kMinimum) minimum = read_scale(weight.zeros, scale_row, group);
    if (outer_spec.dtype != DType::kNone) {
      const int64_t outer = group_of(begin, outer_spec.group.cols);
      scale *= read_scale(weight.outer_scales, outer_row, outer);
      if (weight.scheme.zero == Zero::kMinimum) minimum *= read_scale(weight.outer_zeros, outer_row, outer);
    }
    for (int64_t col = begin; col < std::min(begin + width, weight.cols); ++col) {
      float& value = out[static_cast<size_t>(col)];
      value = (value - point) * scale - minimum;
    }
  }
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
