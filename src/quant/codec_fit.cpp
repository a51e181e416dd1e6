#include "quant/codec_fit.h"

#include <algorithm>

namespace omni {
namespace {

// NF4's nearest value by a table of bins narrower than any gap: a bin holds at most one boundary.
struct NF4Bins {
  static constexpr int kBins = 64;
  std::array<uint8_t, kBins> base;
  std::array<float, kBins> boundary;
  NF4Bins() {
    for (int bin = 0; bin < kBins; ++bin) {
      const float low = -1.0f + 2.0f * static_cast<float>(bin) / kBins;
      const auto i = static_cast<size_t>(bin);
      base[i] = f32_to_nf4(low);
      boundary[i] =
          base[i] == 15 ? std::numeric_limits<float>::infinity() : (kNF4Values[base[i]] + kNF4Values[base[i] + 1u]) / 2;
    }
  }
};

double squared_error(const FitSums& sums, float scale) {
  return static_cast<double>(sums.wrong) * scale * scale;
}

// Keeps the better of best and this candidate. Returns the sums at it.
template <class Grid>
FitSums try_symmetric(const Grid& grid, std::span<const float> x, float scale, GroupFit& best) {
  const FitSums sums = fit_sums(grid, x, scale, 0);
  const double squared = squared_error(sums, scale);
  if (squared < best.squared) best = {scale, 0, squared};
  return sums;
}

double sum_of_squares(std::span<const float> x, float offset) {
  double sum = 0;
  for (const float value : x) sum += (static_cast<double>(value) + offset) * (static_cast<double>(value) + offset);
  return sum;
}

float signed_extreme(std::span<const float> x) {
  float extreme = 0;
  for (const float value : x) extreme = std::fabs(value) > std::fabs(extreme) ? value : extreme;
  return extreme;
}

// The value of stored scale nearest to scale; unit is the outer scale.
float stored_scale(const SymmetricSearch& search, float scale) {
  return round_scale(search.dtype, scale / search.unit) * search.unit;
}

// OCP MX: the power of two that brings the largest value into the grid's last binade, and its neighbours.
template <class Grid>
GroupFit power_of_two(const Grid& grid, std::span<const float> x, float largest, float grid_largest) {
  GroupFit best{0, 0, sum_of_squares(x, 0)};
  if (largest == 0) return best;
  const int exponent = std::ilogb(largest) - std::ilogb(grid_largest);
  for (const int shift : {0, 1, -1}) try_symmetric(grid, x, std::ldexp(1.0f, std::max(exponent + shift, -126)), best);
  return best;
}

template <class Grid>
GroupFit symmetric(const Grid& grid, std::span<const float> x, const SymmetricSearch& search) {
  const float extreme = Grid::kLopsided ? signed_extreme(x) : std::fabs(signed_extreme(x));
  if (search.dtype == DType::kF8E8M0) return power_of_two(grid, x, std::fabs(extreme), search.denominators[0]);
  const float plain = stored_scale(search, std::fabs(extreme) / search.denominators[0]);
  if (!std::isfinite(plain)) return {plain, 0, 0};
  if (search.denominators.size() == 1) return {usable_scale(plain) ? plain : 0, 0, 0};
  GroupFit best{0, 0, sum_of_squares(x, 0)};
  if (usable_scale(plain)) try_symmetric(grid, x, plain, best);
  for (const float denominator : search.denominators.subspan(1)) {
    const float scale = stored_scale(search, extreme / denominator);
    if (usable_scale(scale)) try_symmetric(grid, x, scale, best);
  }
  for (int round = 0; round < 2 && usable_scale(best.scale); ++round) {
    const float before = best.scale;
    const FitSums sums = fit_sums(grid, x, before, 0);
    const float scale = sums.qq == 0 ? before : stored_scale(search, before * (sums.tq / sums.qq));
    if (!usable_scale(scale) || scale == before) break;
    try_symmetric(grid, x, scale, best);
    if (best.scale == before) break;
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

// Rounds scale and minimum to dtype and keeps the better of best and this candidate. Returns the sums at it.
FitSums try_minimum(std::span<const float> x, const MinimumSearch& search, GroupFit candidate, GroupFit& best) {
  const float scale = round_scale(search.dtype, candidate.scale);
  float minimum = round_scale(search.dtype, candidate.minimum);
  if (search.sign == MinimumSign::kNonNegative && minimum < 0) minimum = 0;
  if (!std::isfinite(minimum) || !std::isfinite(scale)) return {};
  if (!usable_scale(scale)) {
    const double squared = sum_of_squares(x, minimum);
    if (squared < best.squared) best = {0, minimum, squared};
    return {};
  }
  const FitSums sums = fit_sums(IntGrid{0, search.largest}, x, scale, minimum);
  const double squared = squared_error(sums, scale);
  if (squared < best.squared) best = {scale, minimum, squared};
  return sums;
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

uint8_t E2M1Grid::bits(float t) const {
  constexpr std::array<uint8_t, 13> kByHalves = {0, 1, 2, 3, 4, 0, 5, 0, 6, 0, 0, 0, 7};
  const float value = nearest(t);
  const auto halves = static_cast<size_t>(std::fabs(value) * 2);
  return static_cast<uint8_t>(kByHalves[halves] | (std::signbit(t) ? 8 : 0));
}

uint8_t NF4Grid::bits(float t) const {
  static const NF4Bins kTable;
  const float at = (t + 1.0f) * (NF4Bins::kBins / 2);
  const auto bin = static_cast<size_t>(at < 0 ? 0.0f : at > NF4Bins::kBins - 1 ? NF4Bins::kBins - 1 : at);
  return static_cast<uint8_t>(kTable.base[bin] + (t > kTable.boundary[bin] ? 1 : 0));
}

const std::array<float, 8> FP4BNBGrid::kSizes = {kFP4BNBValues[0], kFP4BNBValues[1], kFP4BNBValues[6],
                                                 kFP4BNBValues[7], kFP4BNBValues[4], kFP4BNBValues[5],
                                                 kFP4BNBValues[2], kFP4BNBValues[3]};

uint8_t FP4BNBGrid::bits(float t) const {
  const float size = nearest_of(kSizes, std::fabs(t));
  const auto code = std::ranges::find(kFP4BNBValues, size) - kFP4BNBValues.begin();
  return static_cast<uint8_t>(code | (t < 0 ? 8 : 0));
}

uint8_t IQ4Grid::bits(float t) const {
  return static_cast<uint8_t>(std::ranges::find(kIQ4Values, nearest(t)) - kIQ4Values.begin());
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
  const Range range = range_of(x, false);
  const float middle = range.low + (range.high - range.low) / 2, half = (range.high - range.low) / 2;
  for (const float shrink : {1.03f, 1.0f, 0.96f, 0.92f, 0.88f, 0.84f, 0.8f}) {
    GroupFit at{2 * half * shrink / search.largest, -(middle - half * shrink)};
    if (search.sign == MinimumSign::kNonNegative && at.minimum < 0) at = {range.high * shrink / search.largest, 0};
    if (!usable_scale(at.scale)) continue;
    const FitSums sums = fit_sums(IntGrid{0, search.largest}, x, at.scale, at.minimum);
    try_minimum(x, search, least_squares(sums, x.size(), at, search.sign), best);
  }
  if (!usable_scale(best.scale)) return best;
  const FitSums sums = fit_sums(IntGrid{0, search.largest}, x, best.scale, best.minimum);
  try_minimum(x, search, least_squares(sums, x.size(), best, search.sign), best);
  return best;
}

GroupFit fit_point(const IntGrid& grid, std::span<const float> x, DType dtype) {
  const Range range = range_of(x, true);
  const float steps = grid.high - grid.low;
  GroupFit best{0, 0, sum_of_squares(x, 0)};
  const float plain = round_scale(dtype, (range.high - range.low) / steps);
  if (!std::isfinite(plain)) return {plain, 0, best.squared};
  const auto attempt = [&](float scale, float zero) {
    scale = round_scale(dtype, scale);
    if (!usable_scale(scale) || zero < grid.low || zero > grid.high) return;
    const IntGrid shifted{grid.low - zero, grid.high - zero};
    const FitSums sums = fit_sums(shifted, x, scale, 0);
    const double squared = squared_error(sums, scale);
    if (squared < best.squared) best = {scale, zero, squared};
  };
  constexpr std::array kShrink = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f};
  for (const float shrink : steps > 100 ? std::span(kShrink).first(1) : std::span(kShrink)) {
    const float scale = round_scale(dtype, plain * shrink);
    if (!usable_scale(scale)) continue;
    const float zero = std::clamp(round_even(grid.low - range.low * shrink / scale), grid.low, grid.high);
    for (const float shift : {0.0f, -1.0f, 1.0f}) attempt(scale, zero + shift);
  }
  for (int round = 0; round < 2 && usable_scale(best.scale); ++round) {
    const FitSums sums = fit_sums(IntGrid{grid.low - best.minimum, grid.high - best.minimum}, x, best.scale, 0);
    if (sums.qq > 0) attempt(best.scale * (sums.tq / sums.qq), best.minimum);
  }
  return best;
}

}  // namespace omni
