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

// The grids that codes lie on. Their arithmetic is in codec_grids.h.
struct IntGrid {
  static constexpr bool kLopsided = true;  // one side reaches further: a negative scale can help
  float low, high;
  float nearest(float t) const { return round_even(t < low ? low : t > high ? high : t); }
  uint8_t bits(float t) const { return static_cast<uint8_t>(static_cast<int>(nearest(t))); }
};
struct E2M1Grid {
  static constexpr bool kLopsided = false;
};
struct E4M3Grid {
  static constexpr bool kLopsided = false;
};
struct E5M2Grid {
  static constexpr bool kLopsided = false;
};
struct NF4Grid {
  static constexpr bool kLopsided = false;
};
struct FP4BNBGrid {
  static constexpr bool kLopsided = false;
};
struct IQ4Grid {
  static constexpr bool kLopsided = true;
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

// Candidates that are tried side by side, a lane each.
struct Candidates {
  static constexpr size_t kMost = 16;
  alignas(64) std::array<float, kMost> scale{}, minimum{};
  alignas(64) std::array<float, kMost> low{}, high{};  // IntGrid: each candidate's own bounds
  size_t count = 0;
  // scale must be usable; grids other than integers have no bounds.
  void add(float candidate_scale, float candidate_minimum = 0, IntGrid bounds = {0, 0});
};
struct ManySums {
  std::array<double, Candidates::kMost> wrong{}, q{}, qq{}, t{}, tq{};
  FitSums at(size_t i) const;
};

// fit_sums: the sums of one candidate. fit_many: of all of them, in one pass over x. write_codes: the codes of a fit,
// x_i ~ code_i * scale - minimum, a byte each.
#define OMNI_GRID_FUNCTIONS(Grid)                                                              \
  FitSums fit_sums(const Grid& grid, std::span<const float> x, float scale, float minimum);    \
  ManySums fit_many(const Grid& grid, std::span<const float> x, const Candidates& candidates); \
  void write_codes(const Grid& grid, std::span<const float> x, float scale, float minimum, uint8_t* codes);
OMNI_GRID_FUNCTIONS(IntGrid)
OMNI_GRID_FUNCTIONS(E2M1Grid)
OMNI_GRID_FUNCTIONS(E4M3Grid)
OMNI_GRID_FUNCTIONS(E5M2Grid)
OMNI_GRID_FUNCTIONS(NF4Grid)
OMNI_GRID_FUNCTIONS(FP4BNBGrid)
OMNI_GRID_FUNCTIONS(IQ4Grid)
#undef OMNI_GRID_FUNCTIONS

// The largest magnitude; infinity or NaN when a value is one.
float largest_magnitude(std::span<const float> x);
// The first value of largest magnitude, with its sign.
float signed_extreme(std::span<const float> x);

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
