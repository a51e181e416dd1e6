#include "quant/codec_fit.h"

#include <algorithm>
#include <cassert>

namespace omni {
namespace {

double squared_error(const FitSums& sums, float scale) {
  return static_cast<double>(sums.wrong) * scale * scale;
}

// The best of the candidates, if any beats best; sums: those at it.
template <class Grid>
void try_all(const Grid& grid, std::span<const float> x, const Candidates& candidates, GroupFit& best, FitSums& sums) {
  if (candidates.count == 0) return;
  const ManySums many = fit_many(grid, x, candidates);
  for (size_t i = 0; i < candidates.count; ++i) {
    const double squared = many.wrong[i] * candidates.scale[i] * candidates.scale[i];
    if (squared >= best.squared) continue;
    best = {candidates.scale[i], candidates.minimum[i], squared};
    sums = many.at(i);
  }
}

double sum_of_squares(std::span<const float> x, float offset) {
  double sum = 0;
  for (const float value : x) sum += (static_cast<double>(value) + offset) * (static_cast<double>(value) + offset);
  return sum;
}

// The value of stored scale nearest to scale; unit is the outer scale.
float stored_scale(const SymmetricSearch& search, float scale) {
  return round_scale(search.dtype, scale / search.unit) * search.unit;
}

IntGrid bounds_of(const IntGrid& grid) {
  return grid;
}
template <class Grid>
IntGrid bounds_of(const Grid&) {
  return {0, 0};
}

// OCP MX: the power of two that brings the largest value into the grid's last binade, and its neighbours.
template <class Grid>
GroupFit power_of_two(const Grid& grid, std::span<const float> x, float largest, float grid_largest) {
  if (largest == 0) return {0, 0, 0};
  const int exponent = std::ilogb(largest) - std::ilogb(grid_largest);
  Candidates candidates;
  for (const int shift : {0, 1, -1})
    candidates.add(std::ldexp(1.0f, std::max(exponent + shift, -126)), 0, bounds_of(grid));
  GroupFit best;
  FitSums sums;
  try_all(grid, x, candidates, best, sums);
  return best;
}

template <class Grid>
GroupFit symmetric(const Grid& grid, std::span<const float> x, const SymmetricSearch& search) {
  const float largest = largest_magnitude(x);
  if (search.dtype == DType::kF8E8M0) return power_of_two(grid, x, largest, search.denominators[0]);
  const float plain = stored_scale(search, largest / search.denominators[0]);
  if (!std::isfinite(plain)) return {plain, 0, 0};
  if (search.denominators.size() == 1) return {usable_scale(plain) ? plain : 0, 0, 0};
  const float extreme = Grid::kLopsided ? signed_extreme(x) : largest;
  const IntGrid bounds = bounds_of(grid);
  Candidates candidates;
  if (usable_scale(plain)) candidates.add(plain, 0, bounds);
  for (const float denominator : search.denominators.subspan(1)) {
    const float scale = stored_scale(search, extreme / denominator);
    if (usable_scale(scale)) candidates.add(scale, 0, bounds);
  }
  GroupFit best{0, 0, std::numeric_limits<double>::infinity()};
  FitSums sums;
  try_all(grid, x, candidates, best, sums);
  for (int round = 0; round < 2 && usable_scale(best.scale); ++round) {
    const float before = best.scale;
    const float scale = sums.qq == 0 ? before : stored_scale(search, before * (sums.tq / sums.qq));
    if (!usable_scale(scale) || scale == before) break;
    const FitSums next = fit_sums(grid, x, scale, 0);
    const double squared = squared_error(next, scale);
    if (squared >= best.squared) break;
    best = {scale, 0, squared};
    sums = next;
  }
  return best;
}

struct Range {
  float low, high;
};
Range range_of(std::span<const float> x, bool with_zero) {
  Range range = with_zero ? Range{0, 0} : Range{x[0], x[0]};
  for (const float value : x) range = {std::min(range.low, value), std::max(range.high, value)};
  return range;
}

// Scale and minimum as they are stored; an infinite scale when one of them cannot be.
GroupFit stored_minimum(const MinimumSearch& search, const GroupFit& candidate) {
  GroupFit out{round_scale(search.dtype, candidate.scale), round_scale(search.dtype, candidate.minimum)};
  if (search.sign == MinimumSign::kNonNegative && out.minimum < 0) out.minimum = 0;
  if (!std::isfinite(out.minimum)) out.scale = std::numeric_limits<float>::infinity();
  return out;
}

// Rounds scale and minimum to dtype and keeps the better of best and this candidate.
void try_minimum(std::span<const float> x, const MinimumSearch& search, const GroupFit& candidate, GroupFit& best) {
  const GroupFit stored = stored_minimum(search, candidate);
  const float scale = stored.scale, minimum = stored.minimum;
  if (!std::isfinite(scale)) return;
  if (!usable_scale(scale)) {
    const double squared = sum_of_squares(x, minimum);
    if (squared < best.squared) best = {0, minimum, squared};
    return;
  }
  const FitSums sums = fit_sums(IntGrid{0, search.largest}, x, scale, minimum);
  const double squared = squared_error(sums, scale);
  if (squared < best.squared) best = {scale, minimum, squared};
}

// Least squares over scale and minimum for the codes that sums were taken at.
GroupFit least_squares(const FitSums& sums, size_t count, GroupFit at, MinimumSign sign) {
  const float n = static_cast<float>(count);
  const float determinant = n * sums.qq - sums.q * sums.q;
  if (determinant <= 0) return at;
  const float slope = (n * sums.tq - sums.q * sums.t) / determinant;
  const float offset = (sums.t - slope * sums.q) / n;
  GroupFit out{at.scale * slope, at.minimum - at.scale * offset};
  if (sign == MinimumSign::kNonNegative && out.minimum < 0)
    out = {at.scale * (sums.tq / sums.qq) - at.minimum * (sums.q / sums.qq), 0};
  return out;
}

}  // namespace

void Candidates::add(float candidate_scale, float candidate_minimum, IntGrid bounds) {
  assert(count < kMost && usable_scale(candidate_scale));
  if (count == 0) scale.fill(candidate_scale);  // lanes without a candidate must stay finite
  scale[count] = candidate_scale;
  minimum[count] = candidate_minimum;
  low[count] = bounds.low;
  high[count] = bounds.high;
  ++count;
}

FitSums ManySums::at(size_t i) const {
  return {.wrong = static_cast<float>(wrong[i]),
          .q = static_cast<float>(q[i]),
          .qq = static_cast<float>(qq[i]),
          .t = static_cast<float>(t[i]),
          .tq = static_cast<float>(tq[i])};
}

float signed_extreme(std::span<const float> x) {
  const float largest = largest_magnitude(x);
  const auto found = std::ranges::find_if(x, [&](float value) { return std::fabs(value) == largest; });
  return found == x.end() ? 0 : *found;
}

IntGrid int_grid(DType codes) {
  const IntRange range = int_range(codes);
  return {static_cast<float>(codes == DType::kI8 ? -127 : range.low), static_cast<float>(range.high)};
}

std::span<const float> symmetric_denominators(DType codes) {
  // A negative one maps the value of largest size to the longer, negative side; beyond the range it clips.
  static constexpr std::array kI2 = {1.0f, -2.0f, -1.7f, -2.3f, -2.6f, -3.0f, 1.2f, 1.5f, 1.8f, 2.2f};
  static constexpr std::array kI3 = {3.0f, -4.0f, -3.6f, -4.3f, -4.6f, -5.0f, -5.5f, 3.4f, 3.8f, 4.3f, 4.8f};
  static constexpr std::array kI4 = {7.0f,  -8.0f,  -7.5f,  -8.25f, -8.5f, -8.75f, -9.0f, -9.4f,
                                     -9.8f, -10.4f, -11.0f, 7.5f,   8.0f,  8.6f,   9.4f};
  static constexpr std::array kI5 = {15.0f, -16.0f, -15.5f, -16.5f, -17.0f, -17.5f, -18.0f, -19.0f, 15.5f, 16.0f};
  static constexpr std::array kI6 = {31.0f, -32.0f, -31.5f, -32.5f, -33.0f, -33.5f, -34.0f, 31.5f};
  static constexpr std::array kE2M1 = {6.0f, 6.3f, 6.6f, 7.0f, 5.7f, 5.4f, 5.0f, 4.7f, 4.4f, 4.2f, 4.0f, 3.8f};
  static constexpr std::array kNF4 = {1.0f, 0.97f, 1.03f, 1.06f, 1.09f, 1.13f, 1.17f, 1.22f, 1.28f, 1.35f};
  static constexpr std::array kFP4BNB = {1.0f, 0.97f, 1.04f, 1.1f, 1.2f, 1.3f, 1.5f};
  // The shorter, positive side first, so that plain rounding never clips.
  static constexpr std::array kIQ4 = {113.0f, -127.0f, -118.0f, -136.0f, -147.0f, -160.0f, 105.0f, 122.0f, 132.0f};
  static constexpr std::array kI8 = {127.0f};
  static constexpr std::array kE4M3 = {448.0f, 416.0f, 384.0f, 352.0f, 320.0f, 288.0f, 256.0f, 240.0f, 464.0f};
  static constexpr std::array kE5M2 = {57344.0f};
  if (codes == DType::kI2) return kI2;
  if (codes == DType::kI3) return kI3;
  if (codes == DType::kI4) return kI4;
  if (codes == DType::kI5) return kI5;
  if (codes == DType::kI6) return kI6;
  if (codes == DType::kF4E2M1) return kE2M1;
  if (codes == DType::kNF4) return kNF4;
  if (codes == DType::kFP4BNB) return kFP4BNB;
  if (codes == DType::kIQ4) return kIQ4;
  if (codes == DType::kF8E4M3) return kE4M3;
  return codes == DType::kF8E5M2 ? std::span<const float>(kE5M2) : kI8;
}

GroupFit fit_symmetric(DType codes, std::span<const float> x, const SymmetricSearch& search) {
  return with_grid(codes, [&](const auto& grid) { return symmetric(grid, x, search); });
}

GroupFit plain_minimum(std::span<const float> x, const MinimumSearch& search) {
  const Range range = range_of(x, search.sign == MinimumSign::kNonNegative);
  GroupFit best;
  best.scale = (range.high - range.low) / search.largest;
  best.minimum = -range.low;
  GroupFit out;
  try_minimum(x, search, best, out);
  return std::isfinite(out.squared) ? out : GroupFit{std::numeric_limits<float>::infinity(), 0, out.squared};
}

GroupFit fit_minimum(std::span<const float> x, const MinimumSearch& search) {
  GroupFit best = plain_minimum(x, search);
  if (!std::isfinite(best.scale) || best.scale == 0) return best;
  const IntGrid grid{0, search.largest};
  const Range range = range_of(x, false);
  const float middle = range.low + (range.high - range.low) / 2, half = (range.high - range.low) / 2;
  Candidates shrunk;
  for (const float shrink : {1.03f, 1.0f, 0.96f, 0.92f, 0.88f, 0.84f, 0.8f}) {
    GroupFit at{2 * half * shrink / search.largest, -(middle - half * shrink)};
    if (search.sign == MinimumSign::kNonNegative && at.minimum < 0) at = {range.high * shrink / search.largest, 0};
    if (usable_scale(at.scale)) shrunk.add(at.scale, at.minimum, grid);
  }
  if (shrunk.count == 0) return best;
  // Least squares from each of them, rounded to what is stored.
  const ManySums sums = fit_many(grid, x, shrunk);
  Candidates refined;
  for (size_t i = 0; i < shrunk.count; ++i) {
    const GroupFit fit = least_squares(sums.at(i), x.size(), {shrunk.scale[i], shrunk.minimum[i]}, search.sign);
    const GroupFit stored = stored_minimum(search, fit);
    if (std::isfinite(stored.scale) && usable_scale(stored.scale)) refined.add(stored.scale, stored.minimum, grid);
  }
  FitSums at_best = fit_sums(grid, x, best.scale, best.minimum);
  try_all(grid, x, refined, best, at_best);
  if (!usable_scale(best.scale)) return best;
  try_minimum(x, search, least_squares(at_best, x.size(), best, search.sign), best);
  return best;
}

GroupFit fit_point(const IntGrid& grid, std::span<const float> x, DType dtype) {
  const Range range = range_of(x, true);
  const float steps = grid.high - grid.low;
  const float plain = round_scale(dtype, (range.high - range.low) / steps);
  if (!std::isfinite(plain)) return {plain, 0, 0};
  Candidates candidates;
  std::array<float, Candidates::kMost> zeros{};
  const auto add = [&](float scale, float zero) {
    if (!usable_scale(scale) || zero < grid.low || zero > grid.high) return;
    zeros[candidates.count] = zero;
    candidates.add(scale, 0, {grid.low - zero, grid.high - zero});
  };
  constexpr std::array kShrink = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f};
  for (const float shrink : steps > 100 ? std::span(kShrink).first(1) : std::span(kShrink)) {
    const float scale = round_scale(dtype, plain * shrink);
    if (!usable_scale(scale)) continue;
    const float zero = std::clamp(round_even(grid.low - range.low * shrink / scale), grid.low, grid.high);
    for (const float shift : {0.0f, -1.0f, 1.0f}) add(scale, zero + shift);
  }
  GroupFit best{0, 0, sum_of_squares(x, 0)};
  FitSums sums;
  const auto keep_best = [&] {
    if (candidates.count == 0) return;
    const ManySums many = fit_many(grid, x, candidates);
    for (size_t i = 0; i < candidates.count; ++i) {
      const double squared = many.wrong[i] * candidates.scale[i] * candidates.scale[i];
      if (squared >= best.squared) continue;
      best = {candidates.scale[i], zeros[i], squared};
      sums = many.at(i);
    }
  };
  keep_best();
  for (int round = 0; round < 2 && usable_scale(best.scale) && sums.qq > 0; ++round) {
    const float before = best.scale;
    candidates = {};
    add(round_scale(dtype, best.scale * (sums.tq / sums.qq)), best.minimum);
    keep_best();
    if (best.scale == before) break;
  }
  return best;
}

}  // namespace omni
