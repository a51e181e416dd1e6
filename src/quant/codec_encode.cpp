#include "quant/codec_encode.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "quant/codec.h"
#include "quant/codec_fit.h"

namespace omni {
namespace {

enum class Method : uint8_t { kRowGroups, kBlocks, kTwoLevelFloat, kSuperBlocks };

bool is_float_scale(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// Which encoder writes a scheme; throws when none does.
Method method_of(const QuantScheme& s, std::string_view where) {
  const bool symmetric = s.zero == Zero::kNone, integers = !dtype_info(s.codes).is_float;
  const Group outer = s.outer_scale.group;
  bool known = s.low_rank == 0 && s.rotation == 0 && !s.smooth && !s.ordered && s.act != ActQuant::kStatic;
  Method method = Method::kRowGroups;
  if (s.outer_scale.dtype == DType::kNone) {
    if (s.scale.group.rows != 1) method = Method::kBlocks;
    known = known && (is_float_scale(s.scale.dtype) ||
                      (s.scale.dtype == DType::kF8E8M0 && method == Method::kRowGroups && !integers));
    known = known && (symmetric || (method == Method::kRowGroups && integers));
    if (s.zero == Zero::kMinimum) known = known && int_range(s.codes).low == 0;
    if (integers && symmetric) known = known && int_range(s.codes).low < 0;
  } else if (s.outer_scale.dtype == DType::kF32) {
    method = Method::kTwoLevelFloat;
    known = known && symmetric && s.scale.dtype == DType::kF8E4M3 && s.scale.group.rows == 1 && outer.cols == 0 &&
            outer.rows <= 1 && (integers ? int_range(s.codes).low < 0 : true);
  } else {
    method = Method::kSuperBlocks;
    const bool minimum = s.zero == Zero::kMinimum && s.scale.dtype == DType::kU8 && integers;
    const bool plain = symmetric && s.scale.dtype == DType::kI8 && integers;
    known = known && s.outer_scale.dtype == DType::kF16 && (minimum || plain) && s.scale.group.rows == 1 &&
            outer.rows == 1 && s.scale.group.cols > 0 && outer.cols > 0 && outer.cols % s.scale.group.cols == 0;
    if (known) known = (int_range(s.codes).low == 0) == minimum;
  }
  if (!known)
    throw Error(std::string(where), "cannot round weights to " + s.text() + " without calibration",
                "a scheme of `omni methods`");
  return method;
}

void check_groups(const Tensor& values, const QuantScheme& s, std::string_view where) {
  for (const ScaleSpec* spec : {&s.outer_scale, &s.scale}) {
    const Group group = spec->group;
    const bool ragged_allowed = group.rows > 1;  // blocks of rows and columns may end in part
    if (spec->dtype == DType::kNone || group.cols == 0 || ragged_allowed || values.cols() % group.cols == 0) continue;
    throw Error(std::string(where),
                std::to_string(values.cols()) + " columns are not a multiple of the group of " +
                    std::to_string(group.cols) + " of " + s.text(),
                "a scheme with smaller groups, or this weight kept as it is");
  }
  if (is_nibble(s.codes) && values.cols() % 2 != 0)
    throw Error(std::string(where), std::to_string(values.cols()) + " columns of 4-bit codes", "an even number");
}

Weight empty_weight(const Tensor& values, const QuantScheme& s) {
  Weight out;
  out.scheme = s;
  out.rows = values.rows();
  out.cols = values.cols();
  out.codes = Tensor(s.codes, Shape{out.rows, out.cols});
  const auto shape = [&](const ScaleSpec& spec) {
    return Shape{group_count(out.rows, spec.group.rows), group_count(out.cols, spec.group.cols)};
  };
  out.scales = Tensor(s.scale.dtype, shape(s.scale));
  if (s.zero != Zero::kNone) out.zeros = Tensor(s.zero == Zero::kPoint ? DType::kF32 : s.scale.dtype, shape(s.scale));
  if (s.outer_scale.dtype != DType::kNone) {
    out.outer_scales = Tensor(s.outer_scale.dtype, shape(s.outer_scale));
    if (s.zero == Zero::kMinimum) out.outer_zeros = Tensor(s.outer_scale.dtype, shape(s.outer_scale));
  }
  return out;
}

void check_finite(const EncodeJob& job, int64_t row) {
  const std::span<const float> x = job.row(row);
  if (std::isfinite(largest_magnitude(x))) return;
  const auto bad = std::ranges::find_if(x, [](float value) { return !std::isfinite(value); });
  throw Error(std::string(job.where),
              "value at row " + std::to_string(row) + ", column " + std::to_string(bad - x.begin()) + " is " +
                  (std::isnan(*bad) ? "NaN" : "infinite"),
              "finite values");
}

// Codes of one group; a scale without an inverse gives the code of zero.
void write_group(DType dtype, std::span<const float> x, GroupFit fit, uint8_t* codes) {
  with_grid(dtype, [&](const auto& grid) {
    if (usable_scale(fit.scale)) return write_codes(grid, x, fit.scale, fit.minimum, codes);
    constexpr float kZero = 0;
    write_codes(grid, {&kZero, 1}, 1, 0, codes);
    std::fill_n(codes, x.size(), codes[0]);
  });
}

void write_point_group(const IntGrid& grid, std::span<const float> x, GroupFit fit, uint8_t* codes) {
  const float zero = fit.minimum;
  if (!usable_scale(fit.scale))
    return std::fill_n(codes, x.size(), static_cast<uint8_t>(static_cast<int>(zero))), void();
  write_codes(IntGrid{grid.low - zero, grid.high - zero}, x, fit.scale, 0, codes);
  for (size_t i = 0; i < x.size(); ++i) codes[i] = static_cast<uint8_t>(codes[i] + static_cast<int>(zero));
}

// A row whose scales lie along it, with or without zeros; unit: the outer scale.
void encode_groups(const EncodeJob& job, int64_t row, float unit, std::span<uint8_t> codes) {
  Weight& out = job.out;
  const QuantScheme& s = out.scheme;
  const std::span<const float> x = job.row(row);
  const size_t width = s.scale.group.cols == 0 ? x.size() : static_cast<size_t>(s.scale.group.cols);
  const SymmetricSearch search{s.scale.dtype, unit, symmetric_denominators(s.codes)};
  for (size_t begin = 0, group = 0; begin < x.size(); begin += width, ++group) {
    const std::span<const float> part = x.subspan(begin, width);
    const auto g = static_cast<int64_t>(group);
    GroupFit fit;
    if (s.zero == Zero::kNone) fit = unit == 0 ? GroupFit{} : fit_symmetric(s.codes, part, search);
    if (s.zero == Zero::kPoint) fit = fit_point(int_grid(s.codes), part, s.scale.dtype);
    if (s.zero == Zero::kMinimum) fit = fit_minimum(part, {int_grid(s.codes).high, s.scale.dtype, MinimumSign::kAny});
    if (!std::isfinite(fit.scale)) throw_scale_overflow(job, row, static_cast<int64_t>(begin));
    write_scale(out.scales, row, g, unit == 0 ? 0 : fit.scale / unit);
    if (s.zero == Zero::kPoint) out.zeros.f32()[row * out.zeros.row_stride() + g] = fit.minimum;
    if (s.zero == Zero::kMinimum) write_scale(out.zeros, row, g, fit.minimum);
    if (s.zero == Zero::kPoint)
      write_point_group(int_grid(s.codes), part, fit, codes.data() + begin);
    else
      write_group(s.codes, part, fit, codes.data() + begin);
  }
}

// Scales shared by several rows: plain rounding of the block's largest value.
void block_scales(const EncodeJob& job, int64_t block_row) {
  Weight& out = job.out;
  const ScaleSpec& spec = out.scheme.scale;
  const int64_t height = spec.group.rows == 0 ? out.rows : spec.group.rows;
  const auto width = static_cast<size_t>(spec.group.cols == 0 ? out.cols : spec.group.cols);
  const int64_t begin = block_row * height, end = std::min(out.rows, begin + height);
  for (size_t col = 0, group = 0; col < static_cast<size_t>(out.cols); col += width, ++group) {
    float largest = 0;
    for (int64_t row = begin; row < end; ++row) {
      const std::span<const float> x = job.row(row);
      largest = std::max(largest, largest_magnitude(x.subspan(col, std::min(width, x.size() - col))));
    }
    const float scale = round_scale(spec.dtype, largest / symmetric_denominators(out.scheme.codes)[0]);
    if (!std::isfinite(scale)) throw_scale_overflow(job, begin, static_cast<int64_t>(col));
    write_scale(out.scales, block_row, static_cast<int64_t>(group), usable_scale(scale) ? scale : 0);
  }
}

void encode_blocks(const EncodeJob& job, int64_t row, std::span<uint8_t> codes) {
  const Weight& out = job.out;
  const Group group = out.scheme.scale.group;
  const std::span<const float> x = job.row(row);
  const size_t width = group.cols == 0 ? x.size() : static_cast<size_t>(group.cols);
  for (size_t begin = 0, g = 0; begin < x.size(); begin += width, ++g) {
    const GroupFit fit{read_scale(out.scales, group_of(row, group.rows), static_cast<int64_t>(g)), 0, 0};
    write_group(out.scheme.codes, x.subspan(begin, std::min(width, x.size() - begin)), fit, codes.data() + begin);
  }
}

// The smallest number from least on that has an exact inverse, so that it can be stored as either; a hair larger.
float invertible_scale(float least) {
  if (!usable_scale(least)) return 0;
  float outer = least;
  while (!exact_inverse(outer) && outer < least * 1.001f) outer = std::nextafter(outer, 2 * outer);
  return outer;
}

// The outer scale that lets E4M3 group scales reach the largest value (of the weight, or of each row).
void outer_scales(const EncodeJob& job) {
  Weight& out = job.out;
  const float reach = 448.0f * symmetric_denominators(out.scheme.codes)[0];
  float whole = 0;
  for (int64_t row = 0; row < out.rows; ++row) {
    const float largest = largest_magnitude(job.row(row));
    whole = std::max(whole, largest);
    if (out.scheme.outer_scale.group.rows == 1) out.outer_scales.f32()[row] = invertible_scale(largest / reach);
  }
  if (out.scheme.outer_scale.group.rows == 0) out.outer_scales.f32()[0] = invertible_scale(whole / reach);
}

void store_codes(Weight& out, int64_t row, std::span<const uint8_t> codes) {
  auto* target = out.codes.data<uint8_t>() + storage_bytes(out.scheme.codes, row * out.cols);
  if (!is_nibble(out.scheme.codes)) {
    std::copy(codes.begin(), codes.end(), target);
    return;
  }
  for (size_t i = 0; i < codes.size(); i += 2)
    target[i / 2] = static_cast<uint8_t>((codes[i] & 0xf) | (codes[i + 1] << 4));
}

}  // namespace

void throw_scale_overflow(const EncodeJob& job, int64_t row, int64_t col) {
  const QuantScheme& s = job.out.scheme;
  const ScaleSpec& spec = s.outer_scale.dtype == DType::kF16 ? s.outer_scale : s.scale;
  throw Error(std::string(job.where),
              "values at row " + std::to_string(row) + ", column " + std::to_string(col) + " on need a scale beyond " +
                  std::string(dtype_name(spec.dtype)) + " in " + s.text(),
              "smaller values, or a scheme with f32 scales");
}

Weight encode(const Tensor& values, const QuantScheme& scheme, std::string_view where, ThreadPool* pool) {
  assert(values.dtype() == DType::kF32 && values.shape().rank() == 2);
  const Method method = method_of(scheme, where);
  check_groups(values, scheme, where);
  Weight out = empty_weight(values, scheme);
  const EncodeJob job{values, where, out};
  for_rows(out.rows, out.cols, pool, [&](int64_t row) { check_finite(job, row); });
  if (method == Method::kBlocks)
    for_rows(out.scales.rows(), out.cols * out.rows, pool, [&](int64_t row) { block_scales(job, row); });
  if (method == Method::kTwoLevelFloat) outer_scales(job);
  for_rows(out.rows, out.cols, pool, [&](int64_t row) {
    std::vector<uint8_t> codes(static_cast<size_t>(out.cols));
    float unit = 1;
    if (method == Method::kTwoLevelFloat) unit = out.outer_scales.f32()[group_of(row, scheme.outer_scale.group.rows)];
    if (method == Method::kBlocks)
      encode_blocks(job, row, codes);
    else if (method == Method::kSuperBlocks)
      encode_super_row(job, row, codes);
    else
      encode_groups(job, row, unit, codes);
    store_codes(out, row, codes);
  });
  return out;
}

}  // namespace omni
