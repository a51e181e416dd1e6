#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "quant/codec_encode.h"
#include "quant/codec_fit.h"

// K-quants: groups in a super-block, whose small integer scales (and minima) share an f16 outer scale each.
namespace omni {
namespace {

constexpr float kLargestUnsigned = 63;  // 6-bit scales and minima
constexpr float kLargestSigned = 128;   // i8 scales reach -128

// One super-block as stored: value = q * scale[g] * outer - minimum[g] * outer_minimum.
struct SuperBlock {
  float outer = 0, outer_minimum = 0;
  std::vector<float> scale, minimum;  // small integers, one a group
  double squared = 0;
  bool overflow = false;
};

struct SuperShape {
  IntGrid grid;
  size_t width;  // columns of a group
  bool has_minimum;
};

enum class Effort : uint8_t { kPlain, kSearch };

double group_error(const SuperShape& shape, std::span<const float> x, float scale, float minimum) {
  if (!usable_scale(scale)) {
    const float zero = shape.grid.nearest(0);
    double sum = 0;
    for (const float value : x) {
      const double d = static_cast<double>(value) + minimum - static_cast<double>(zero) * scale;
      sum += d * d;
    }
    return sum;
  }
  return static_cast<double>(fit_sums(shape.grid, x, scale, minimum).wrong) * scale * scale;
}

GroupFit fit_group(const SuperShape& shape, std::span<const float> x, Effort effort) {
  if (shape.has_minimum) {
    const MinimumSearch search{shape.grid.high, DType::kF32, MinimumSign::kNonNegative};
    return effort == Effort::kPlain ? plain_minimum(x, search) : fit_minimum(x, search);
  }
  if (effort == Effort::kSearch) {
    const DType codes = shape.grid.high > 20 ? DType::kI6 : shape.grid.high > 10 ? DType::kI5 : DType::kI4;
    return fit_symmetric(codes, x, {DType::kF32, 1.0f, symmetric_denominators(codes)});
  }
  return {signed_extreme(x) / shape.grid.low, 0, 0};
}

// The best small integers near the rounded ones for the outer scales as they are stored.
void refine_group(const SuperShape& shape, std::span<const float> x, size_t g, SuperBlock& block) {
  const float scale_low = shape.has_minimum ? 0 : -kLargestSigned;
  const float scale_high = shape.has_minimum ? kLargestUnsigned : kLargestSigned - 1;
  const float scale_at = block.scale[g], minimum_at = block.minimum[g];
  double best = group_error(shape, x, scale_at * block.outer, minimum_at * block.outer_minimum);
  Candidates candidates;
  std::array<std::pair<float, float>, Candidates::kMost> steps;
  for (const float ds : {0.0f, -1.0f, 1.0f}) {
    for (const float dm : {0.0f, -1.0f, 1.0f}) {
      const float scale = scale_at + ds, minimum = minimum_at + dm;
      if ((ds == 0 && dm == 0) || (!shape.has_minimum && dm != 0)) continue;
      if (scale < scale_low || scale > scale_high || minimum < 0 || minimum > kLargestUnsigned) continue;
      if (!usable_scale(scale * block.outer)) continue;
      steps[candidates.count] = {scale, minimum};
      candidates.add(scale * block.outer, minimum * block.outer_minimum, shape.grid);
    }
  }
  if (candidates.count == 0) return;
  const ManySums sums = fit_many(shape.grid, x, candidates);
  for (size_t i = 0; i < candidates.count; ++i) {
    const double squared = sums.wrong[i] * candidates.scale[i] * candidates.scale[i];
    if (squared >= best) continue;
    best = squared;
    block.scale[g] = steps[i].first;
    block.minimum[g] = steps[i].second;
  }
}

SuperBlock fit_super(const SuperShape& shape, std::span<const float> x, Effort effort) {
  const size_t count = x.size() / shape.width;
  std::vector<GroupFit> fits(count);
  float scale_extreme = 0, largest_minimum = 0;
  for (size_t g = 0; g < count; ++g) {
    fits[g] = fit_group(shape, x.subspan(g * shape.width, shape.width), effort);
    if (std::fabs(fits[g].scale) > std::fabs(scale_extreme)) scale_extreme = fits[g].scale;
    largest_minimum = std::max(largest_minimum, fits[g].minimum);
  }
  SuperBlock block;
  block.outer =
      round_scale(DType::kF16, shape.has_minimum ? scale_extreme / kLargestUnsigned : scale_extreme / -kLargestSigned);
  block.outer_minimum = round_scale(DType::kF16, largest_minimum / kLargestUnsigned);
  block.scale.assign(count, 0);
  block.minimum.assign(count, 0);
  block.overflow = !std::isfinite(block.outer) || !std::isfinite(block.outer_minimum);
  if (block.overflow) return block;
  const float low = shape.has_minimum ? 0 : -kLargestSigned;
  const float high = shape.has_minimum ? kLargestUnsigned : kLargestSigned - 1;
  for (size_t g = 0; g < count; ++g) {
    const std::span<const float> part = x.subspan(g * shape.width, shape.width);
    if (block.outer != 0) block.scale[g] = std::clamp(std::nearbyint(fits[g].scale / block.outer), low, high);
    if (block.outer_minimum != 0)
      block.minimum[g] = std::clamp(std::nearbyint(fits[g].minimum / block.outer_minimum), 0.0f, kLargestUnsigned);
    if (effort == Effort::kSearch) refine_group(shape, part, g, block);
    block.squared += group_error(shape, part, block.scale[g] * block.outer, block.minimum[g] * block.outer_minimum);
  }
  return block;
}

void write_super(const SuperShape& shape, std::span<const float> x, const SuperBlock& block, uint8_t* codes) {
  for (size_t g = 0; g < block.scale.size(); ++g) {
    const float scale = block.scale[g] * block.outer, minimum = block.minimum[g] * block.outer_minimum;
    uint8_t* to = codes + g * shape.width;
    if (usable_scale(scale))
      write_codes(shape.grid, x.subspan(g * shape.width, shape.width), scale, minimum, to);
    else
      std::fill_n(to, shape.width, shape.grid.bits(0));
  }
}

}  // namespace

void encode_super_row(const EncodeJob& job, int64_t row, std::span<uint8_t> codes) {
  Weight& out = job.out;
  const QuantScheme& s = out.scheme;
  const std::span<const float> x = job.row(row);
  const SuperShape shape{int_grid(s.codes), static_cast<size_t>(s.scale.group.cols), s.zero == Zero::kMinimum};
  const auto width = static_cast<size_t>(s.outer_scale.group.cols);
  for (size_t begin = 0, index = 0; begin < x.size(); begin += width, ++index) {
    const std::span<const float> part = x.subspan(begin, width);
    SuperBlock block = fit_super(shape, part, Effort::kPlain);
    if (block.overflow) throw_scale_overflow(job, row, static_cast<int64_t>(begin));
    SuperBlock searched = fit_super(shape, part, Effort::kSearch);
    if (!searched.overflow && searched.squared < block.squared) block = std::move(searched);
    write_scale(out.outer_scales, row, static_cast<int64_t>(index), block.outer);
    if (shape.has_minimum) write_scale(out.outer_zeros, row, static_cast<int64_t>(index), block.outer_minimum);
    for (size_t g = 0; g < block.scale.size(); ++g) {
      const auto at = static_cast<int64_t>(index * block.scale.size() + g);
      write_scale(out.scales, row, at, block.scale[g]);
      if (shape.has_minimum) write_scale(out.zeros, row, at, block.minimum[g]);
    }
    write_super(shape, part, block, codes.data() + begin);
  }
}

}  // namespace omni
