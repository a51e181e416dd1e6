#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "quant/codec_parts.h"
#include "tensor/float_bits.h"

// Scales that fit a group of values with little squared error: sums over all candidate scales of a small search.
namespace omni {

// The grids that codes lie on: nearest() gives the grid value next to t, bits() its stored code.
struct IntGrid {
  float low, high;
  float nearest(float t) const {
    t = t < low ? low : t;
    t = t > high ? high : t;
    return round_even(t);
  }
  uint8_t bits(float t) const { return static_cast<uint8_t>(static_cast<int>(nearest(t))); }
};
struct E2M1Grid {
  // Steps of 0.5 up to 2, of 1 up to 4, of 2 up to 6, added up without branches; halves go to even everywhere.
  float nearest(float t) const {
    const float size = std::fabs(t);
    const float halves = round_even(bounded(size * 2, 4)) / 2;
    const float ones = round_even(bounded(size - 2, 2));
    const float twos = round_even(bounded((size - 4) / 2, 1)) * 2;
    return std::copysign(halves + ones + twos, t);
  }
  uint8_t bits(float t) const;

 private:
  static float bounded(float value, float high) {
    value = value < 0 ? 0 : value;
    return value > high ? high : value;
  }
};
struct E4M3Grid {
  float nearest(float t) const { return code_values(DType::kF8E4M3)[quick_f8e4m3(t)]; }
  uint8_t bits(float t) const { return quick_f8e4m3(t); }
};
struct E5M2Grid {
  float nearest(float t) const { return f8e5m2_to_f32(f32_to_f8e5m2(t)); }
  uint8_t bits(float t) const { return f32_to_f8e5m2(t); }
};
struct NF4Grid {
  float nearest(float t) const { return kNF4Values[bits(t)]; }
  uint8_t bits(float t) const;
};

// The integer codes encoders write: 8 bits symmetric without -128, so that |code| <= 127.
IntGrid int_grid(DType codes);

// f(grid) for the grid of a code dtype.
template <class F>
auto with_grid(DType codes, F&& f) {
  if (codes == DType::kF4E2M1) return f(E2M1Grid{});
  if (codes == DType::kF8E4M3) return f(E4M3Grid{});
  if (codes == DType::kF8E5M2) return f(E5M2Grid{});
  if (codes == DType::kNF4) return f(NF4Grid{});
  return f(int_grid(codes));
}

// Sums over a group in units of the scale: t = (x + minimum) / scale, q = the nearest grid value.
struct FitSums {
  float wrong = 0;                     // sum (t - q)^2
  float q = 0, qq = 0, t = 0, tq = 0;  // sum q, q^2, t, t q
};

// A scale smaller than this has no finite inverse: the group is taken as zeros.
inline bool usable_scale(float scale) {
  return std::fabs(scale) >= std::numeric_limits<float>::min() && std::isfinite(scale);
}

template <class Grid>
FitSums fit_sums(const Grid& grid, std::span<const float> x, float scale, float minimum) {
  constexpr size_t kLanes = 8;
  float wrong[kLanes] = {}, q_sum[kLanes] = {}, qq[kLanes] = {}, t_sum[kLanes] = {}, tq[kLanes] = {};
  const float inverse = 1.0f / scale;
  const size_t whole = x.size() / kLanes * kLanes;
  for (size_t begin = 0; begin < whole; begin += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float t = (x[begin + lane] + minimum) * inverse;
      const float q = grid.nearest(t);
      wrong[lane] += (t - q) * (t - q);
      q_sum[lane] += q;
      qq[lane] += q * q;
      t_sum[lane] += t;
      tq[lane] += t * q;
    }
  }
  FitSums sums;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    sums.wrong += wrong[lane];
    sums.q += q_sum[lane];
    sums.qq += qq[lane];
    sums.t += t_sum[lane];
    sums.tq += tq[lane];
  }
  for (size_t i = whole; i < x.size(); ++i) {
    const float t = (x[i] + minimum) * inverse, q = grid.nearest(t);
    sums.wrong += (t - q) * (t - q);
    sums.q += q;
    sums.qq += q * q;
    sums.t += t;
    sums.tq += t * q;
  }
  return sums;
}

// How a group is stored: value = q * scale - minimum. squared: the sum of squared errors over the group.
struct GroupFit {
  float scale = 0, minimum = 0;
  double squared = std::numeric_limits<double>::infinity();
};

// Symmetric scales: a group's scale is (a value of dtype) * unit. extreme / denominators[i] are the candidates, [0]
// being plain rounding; each is rounded to dtype first, the best is refined by least squares. An infinite scale: plain
// rounding's scale does not fit dtype.
struct SymmetricSearch {
  DType dtype;
  float unit;
  std::span<const float> denominators;
};
GroupFit fit_symmetric(DType codes, std::span<const float> x, const SymmetricSearch& search);

// The candidates for a code dtype; one entry (plain rounding) where a search does not pay.
std::span<const float> symmetric_denominators(DType codes);

// Unsigned codes 0..largest with a minimum, both rounded to dtype. nonnegative: the minimum may not be below zero
// (K-quants), else any range goes.
enum class MinimumSign : uint8_t { kAny, kNonNegative };
struct MinimumSearch {
  float largest;
  DType dtype;
  MinimumSign sign;
};
GroupFit plain_minimum(std::span<const float> x, const MinimumSearch& search);
GroupFit fit_minimum(std::span<const float> x, const MinimumSearch& search);

// Integer codes low..high with an integer zero point: value = (code - zero) * scale. Here minimum = zero.
GroupFit fit_point(const IntGrid& grid, std::span<const float> x, DType dtype);

}  // namespace omni
