#include "quant/codec.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
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

// Both values of every byte of 4-bit codes, low nibble first.
using Pair = std::array<float, 2>;
template <DType kCodes>
const std::array<Pair, 256>& pair_values() {
  static const auto table = [] {
    std::array<Pair, 256> out;
    const std::span<const float> values = code_values(kCodes);
    for (size_t byte = 0; byte < 256; ++byte) out[byte] = {values[byte & 15], values[byte >> 4]};
    return out;
  }();
  return table;
}

const std::array<Pair, 256>& pair_values(DType codes) {
  if (codes == DType::kF4E2M1) return pair_values<DType::kF4E2M1>();
  if (codes == DType::kNF4) return pair_values<DType::kNF4>();
  if (codes == DType::kIQ4) return pair_values<DType::kIQ4>();
  if (codes == DType::kFP4BNB) return pair_values<DType::kFP4BNB>();
  return int_range(codes).low < 0 ? pair_values<DType::kI4>() : pair_values<DType::kU4>();
}

// The value of every code of a row, before scales.
void decode_codes(const Weight& weight, int64_t row, std::span<float> out) {
  const DType dtype = weight.scheme.codes;
  const auto* bytes = weight.codes.data<uint8_t>() + storage_bytes(dtype, row * weight.codes.row_stride());
  if (is_nibble(dtype)) {
    const std::array<Pair, 256>& pairs = pair_values(dtype);
    for (size_t i = 0; i < out.size() / 2; ++i) std::memcpy(&out[2 * i], &pairs[bytes[i]], sizeof(Pair));
    if (out.size() % 2 != 0) out.back() = pairs[bytes[out.size() / 2]][0];
  } else if (!dtype_info(dtype).is_float && int_range(dtype).low < 0) {
    for (size_t col = 0; col < out.size(); ++col) out[col] = static_cast<float>(static_cast<int8_t>(bytes[col]));
  } else if (!dtype_info(dtype).is_float) {
    for (size_t col = 0; col < out.size(); ++col) out[col] = static_cast<float>(bytes[col]);
  } else {
    const std::span<const float> values = code_values(dtype);
    for (size_t col = 0; col < out.size(); ++col) out[col] = values[bytes[col]];
  }
}

// What the groups of a row share: value = (code - point) * scale - minimum.
struct RowScales {
  std::vector<float> scale, point, minimum;

  RowScales(const Weight& weight, int64_t row) {
    const QuantScheme& scheme = weight.scheme;
    const ScaleSpec& outer_spec = scheme.outer_scale;
    const auto groups = static_cast<size_t>(weight.scales.cols());
    const int64_t at = group_of(row, scheme.scale.group.rows);
    scale.resize(groups);
    read_scales(weight.scales, at, scale);
    if (scheme.zero == Zero::kPoint) read_scales(weight.zeros, at, resized(point, groups));
    if (scheme.zero == Zero::kMinimum) read_scales(weight.zeros, at, resized(minimum, groups));
    if (outer_spec.dtype == DType::kNone) return;
    const int64_t outer_at = group_of(row, outer_spec.group.rows);
    std::vector<float> outer(static_cast<size_t>(weight.outer_scales.cols()));
    read_scales(weight.outer_scales, outer_at, outer);
    multiply(scale, outer, scheme);
    if (minimum.empty()) return;
    read_scales(weight.outer_zeros, outer_at, outer);
    multiply(minimum, outer, scheme);
  }

  float value(float code, size_t group) const {
    const float from = point.empty() ? code : code - point[group];
    return minimum.empty() ? from * scale[group] : from * scale[group] - minimum[group];
  }

 private:
  static std::vector<float>& resized(std::vector<float>& values, size_t size) {
    values.resize(size);
    return values;
  }
  static void multiply(std::vector<float>& values, const std::vector<float>& outer, const QuantScheme& scheme) {
    for (size_t g = 0; g < values.size(); ++g) {
      const int64_t column = static_cast<int64_t>(g) * scheme.scale.group.cols;
      values[g] *= outer[static_cast<size_t>(group_of(column, scheme.outer_scale.group.cols))];
    }
  }
};

void scale_by_position(const Weight& weight, int64_t row, std::span<float> out) {
  const RowScales scales(weight, row);
  const int64_t group = weight.scheme.scale.group.cols;
  const size_t width = group == 0 ? out.size() : static_cast<size_t>(group);
  for (size_t begin = 0, g = 0; begin < out.size(); begin += width, ++g) {
    const size_t count = std::min(width, out.size() - begin);
    float* values = out.data() + begin;
    const float scale = scales.scale[g];
    if (!scales.point.empty()) {
      const float point = scales.point[g];
      for (size_t i = 0; i < count; ++i) values[i] -= point;
    }
    if (scales.minimum.empty()) {
      for (size_t i = 0; i < count; ++i) values[i] *= scale;
    } else {
      const float minimum = scales.minimum[g];
      for (size_t i = 0; i < count; ++i) values[i] = values[i] * scale - minimum;
    }
  }
}

void scale_by_order(const Weight& weight, int64_t row, std::span<float> out) {
  const RowScales scales(weight, row);
  const auto* order = weight.order.data<int32_t>();
  for (size_t col = 0; col < out.size(); ++col) out[col] = scales.value(out[col], static_cast<size_t>(order[col]));
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

void decode_into(const Weight& weight, Tensor& out, ThreadPool* pool) {
  assert(out.dtype() == DType::kF32 && out.rows() == weight.rows && out.cols() == weight.cols);
  for_rows(weight.rows, weight.cols, pool, [&](int64_t row) {
    decode_row(weight, row, {out.f32() + row * out.row_stride(), static_cast<size_t>(weight.cols)});
  });
}

Tensor decode(const Weight& weight, ThreadPool* pool) {
  Tensor out(DType::kF32, Shape{weight.rows, weight.cols});
  decode_into(weight, out, pool);
  return out;
}

int code_at(const Weight& weight, int64_t row, int64_t col) {
  const DType dtype = weight.scheme.codes;
  const auto* bytes = weight.codes.data<uint8_t>() + storage_bytes(dtype, row * weight.codes.row_stride());
  const int bits = is_nibble(dtype) ? (bytes[col / 2] >> (col % 2 * 4)) & 0xf : bytes[col];
  if (dtype_info(dtype).is_float) return bits;
  return static_cast<int>(code_values(dtype)[static_cast<size_t>(bits)]);
}

double relative_error(const Tensor& values, const Weight& weight, ThreadPool* pool) {
  assert(values.rows() == weight.rows && values.cols() == weight.cols);
  // A row's sums are added up in order: the same for any number of threads.
  std::vector<double> wrong(static_cast<size_t>(weight.rows)), all(static_cast<size_t>(weight.rows));
  for_rows(weight.rows, weight.cols, pool, [&](int64_t row) {
    std::vector<float> got(static_cast<size_t>(weight.cols));
    decode_row(weight, row, got);
    const float* want = values.f32() + row * values.row_stride();
    double row_wrong = 0, row_all = 0;
    for (size_t col = 0; col < got.size(); ++col) {
      const double d = static_cast<double>(got[col]) - want[col];
      row_wrong += d * d;
      row_all += static_cast<double>(want[col]) * want[col];
    }
    wrong[static_cast<size_t>(row)] = row_wrong;
    all[static_cast<size_t>(row)] = row_all;
  });
  double wrong_sum = 0, all_sum = 0;
  for (size_t row = 0; row < wrong.size(); ++row) {
    wrong_sum += wrong[row];
    all_sum += all[row];
  }
  return all_sum == 0 ? std::sqrt(wrong_sum) : std::sqrt(wrong_sum / all_sum);
}

}  // namespace omni
