#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "quant/codec_parts.h"
#include "tensor/float_bits.h"

// Scales that fit a group of values with little squared error: sums over all candidate scales of a small search.
namespace omni {

// Four floats at once; the compiler's portable vectors. Conditions choose a lane, so that nothing branches.
using Lanes = float __attribute__((vector_size(16)));

template <class T>  // float or Lanes
T bounded(T value, float low, float high) {
  const T lows = T{} + low, highs = T{} + high;
  value = value < lows ? lows : value;
  return value > highs ? highs : value;
}

// The grids that codes lie on: nearest() gives the grid value next to t, bits() its stored code.
struct IntGrid {
  static constexpr bool kLopsided = true;  // one side reaches further: a negative scale can help
  float low, high;
  template <class T>
  T nearest(T t) const {
    return round_even(bounded(t, low, high));
  }
  uint8_t bits(float t) const { return static_cast<uint8_t>(static_cast<int>(nearest(t))); }
};
struct E2M1Grid {
  static constexpr bool kLopsided = false;
  // Steps of 0.5 up to 2, of 1 up to 4, of 2 up to 6, added up; halves go to even everywhere.
  template <class T>
  T nearest(T t) const {
    const T size = t < 0 ? -t : t;
    const T halves = round_even(bounded(size * 2.0f, 0, 4)) * 0.5f;
    const T ones = round_even(bounded(size - 2.0f, 0, 2));
    const T twos = round_even(bounded((size - 4.0f) * 0.5f, 0, 1)) * 2.0f;
    const T value = halves + ones + twos;
    return t < 0 ? -value : value;
  }
  uint8_t bits(float t) const;
};
struct E4M3Grid {
  static constexpr bool kLopsided = false;
  float nearest(float t) const { return code_values(DType::kF8E4M3)[quick_f8e4m3(t)]; }
  Lanes nearest(Lanes t) const { return Lanes{nearest(t[0]), nearest(t[1]), nearest(t[2]), nearest(t[3])}; }
  uint8_t bits(float t) const { return quick_f8e4m3(t); }
};
struct E5M2Grid {
  static constexpr bool kLopsided = false;
  float nearest(float t) const { return f8e5m2_to_f32(f32_to_f8e5m2(t)); }
  Lanes nearest(Lanes t) const { return Lanes{nearest(t[0]), nearest(t[1]), nearest(t[2]), nearest(t[3])}; }
  uint8_t bits(float t) const { return f32_to_f8e5m2(t); }
};
struct NF4Grid {
  static constexpr bool kLopsided = false;
  float nearest(float t) const { return kNF4Values[bits(t)]; }
  Lanes nearest(Lanes t) const { return Lanes{nearest(t[0]), nearest(t[1]), nearest(t[2]), nearest(t[3])}; }
  uint8_t bits(float t) const;
};

// A few ascending values: the last whose boundary (halfway to the one before) lies below t. Conditions choose lanes.
template <class T, size_t N>
T nearest_of(const std::array<float, N>& values, T t) {
  T nearest = T{} + values[0];
  for (size_t i = 1; i < N; ++i) {
    const T boundary = T{} + (values[i - 1] + values[i]) / 2;
    nearest = t > boundary ? T{} + values[i] : nearest;
  }
  return nearest;
}
struct FP4BNBGrid {
  static constexpr bool kLopsided = false;
  static const std::array<float, 8> kSizes;  // ascending
  template <class T>
  T nearest(T t) const {
    const T size = nearest_of(kSizes, t < 0 ? -t : t);
    return t < 0 ? -size : size;
  }
  uint8_t bits(float t) const;
};
struct IQ4Grid {
  static constexpr bool kLopsided = true;
  template <class T>
  T nearest(T t) const {
    return nearest_of(kIQ4Values, t);
  }
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
  if (codes == DType::kFP4BNB) return f(FP4BNBGrid{});
  if (codes == DType::kIQ4) return f(IQ4Grid{});
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
  constexpr size_t kLanes = sizeof(Lanes) / sizeof(float);
  Lanes wrong{}, q_sum{}, qq{}, t_sum{}, tq{};
  const float inverse = 1.0f / scale;
  const auto add = [&](Lanes t, Lanes q) {
    wrong += (t - q) * (t - q);
    q_sum += q;
    qq += q * q;
    t_sum += t;
    tq += t * q;
  };
  const size_t whole = x.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    Lanes values;
    std::memcpy(&values, x.data() + i, sizeof(values));
    const Lanes t = (values + minimum) * inverse;
    add(t, grid.nearest(t));
  }
  for (size_t i = whole; i < x.size(); ++i) {
    const float t = (x[i] + minimum) * inverse;
    add(Lanes{t}, Lanes{grid.nearest(t)});  // the other lanes add zeros
  }
  const auto sum = [](Lanes v) { return (v[0] + v[1]) + (v[2] + v[3]); };
  return {.wrong = sum(wrong), .q = sum(q_sum), .qq = sum(qq), .t = sum(t_sum), .tq = sum(tq)};
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
