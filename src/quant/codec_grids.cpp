#include "quant/codec_grids.h"

#include <algorithm>
#include <cstring>

namespace omni {
namespace {

constexpr size_t kLanes = sizeof(Lanes) / sizeof(float);

// Values [i, i + 16) of x; behind its end the value `fill`.
OMNI_INLINE Lanes load(std::span<const float> x, size_t i, float fill) {
  Lanes values = all(fill);
  std::memcpy(&values, x.data() + i, std::min(kLanes, x.size() - i) * sizeof(float));
  return values;
}

OMNI_INLINE float sum(Lanes v) {
  const auto eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  const auto four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

template <class Grid>
OMNI_INLINE FitSums sums_of(const Grid& grid, std::span<const float> x, float scale, float minimum) {
  Lanes wrong{}, q_sum{}, qq{}, t_sum{}, tq{};
  const float inverse = 1.0f / scale;
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    Lanes values;
    std::memcpy(&values, x.data() + i, sizeof(values));
    const Lanes t = (values + minimum) * inverse, q = nearest(grid, t);
    wrong += (t - q) * (t - q);
    q_sum += q;
    qq += q * q;
    t_sum += t;
    tq += t * q;
  }
  if (i < x.size()) {  // the lanes behind the end add nothing
    IntLanes lane;
    for (size_t j = 0; j < kLanes; ++j) lane[j] = j < x.size() - i ? -1 : 0;
    Lanes t = (load(x, i, 0) + minimum) * inverse, q = nearest(grid, t);
    t = floats_of(bits_of(t) & lane), q = floats_of(bits_of(q) & lane);
    wrong += (t - q) * (t - q);
    q_sum += q;
    qq += q * q;
    t_sum += t;
    tq += t * q;
  }
  return {.wrong = sum(wrong), .q = sum(q_sum), .qq = sum(qq), .t = sum(t_sum), .tq = sum(tq)};
}

OMNI_INLINE Lanes lanes(const std::array<float, kLanes>& values) {
  return std::bit_cast<Lanes>(values);
}

OMNI_INLINE void add_to(std::array<double, kLanes>& sums, Lanes part) {
  for (size_t i = 0; i < kLanes; ++i) sums[i] += part[i];
}

template <class Grid>
OMNI_INLINE ManySums many_of(const Grid& grid, std::span<const float> x, const Candidates& candidates) {
  constexpr size_t kBlock = 512;  // sums in f32 only as long as they stay exact enough
  const Lanes inverse = 1.0f / lanes(candidates.scale), minimum = lanes(candidates.minimum);
  const Lanes low = lanes(candidates.low), high = lanes(candidates.high);
  ManySums out;
  for (size_t begin = 0; begin < x.size(); begin += kBlock) {
    Lanes wrong{}, q_sum{}, qq{}, t_sum{}, tq{};
    for (size_t i = begin; i < std::min(x.size(), begin + kBlock); ++i) {
      const Lanes t = (x[i] + minimum) * inverse, q = nearest_bounded(grid, t, low, high);
      wrong += (t - q) * (t - q);
      q_sum += q;
      qq += q * q;
      t_sum += t;
      tq += t * q;
    }
    add_to(out.wrong, wrong);
    add_to(out.q, q_sum);
    add_to(out.qq, qq);
    add_to(out.t, t_sum);
    add_to(out.tq, tq);
  }
  return out;
}

template <class Grid>
OMNI_INLINE void codes_into(const Grid& grid, std::span<const float> x, float scale, float minimum, uint8_t* out) {
  using Bytes = uint8_t __attribute__((vector_size(kLanes)));
  for (size_t i = 0; i < x.size(); i += kLanes) {
    Lanes values;
    if (i + kLanes > x.size()) {
      values = load(x, i, 0);
    } else {
      std::memcpy(&values, x.data() + i, sizeof(values));
    }
    const Bytes bytes = __builtin_convertvector(codes(grid, (values + minimum) / scale), Bytes);
    if (i + kLanes > x.size()) {
      std::memcpy(out + i, &bytes, x.size() - i);
    } else {
      std::memcpy(out + i, &bytes, sizeof(bytes));
    }
  }
}

}  // namespace

#define OMNI_GRID_FUNCTIONS(Grid)                                                                                      \
  OMNI_CLONES FitSums fit_sums(const Grid& grid, std::span<const float> x, float scale, float minimum) {               \
    return sums_of(grid, x, scale, minimum);                                                                           \
  }                                                                                                                    \
  OMNI_CLONES ManySums fit_many(const Grid& grid, std::span<const float> x, const Candidates& candidates) {            \
    return many_of(grid, x, candidates);                                                                               \
  }                                                                                                                    \
  OMNI_CLONES void write_codes(const Grid& grid, std::span<const float> x, float scale, float minimum, uint8_t* out) { \
    codes_into(grid, x, scale, minimum, out);                                                                          \
  }
OMNI_GRID_FUNCTIONS(IntGrid)
OMNI_GRID_FUNCTIONS(E2M1Grid)
OMNI_GRID_FUNCTIONS(E4M3Grid)
OMNI_GRID_FUNCTIONS(E5M2Grid)
OMNI_GRID_FUNCTIONS(NF4Grid)
OMNI_GRID_FUNCTIONS(FP4BNBGrid)
OMNI_GRID_FUNCTIONS(IQ4Grid)
#undef OMNI_GRID_FUNCTIONS

OMNI_CLONES float largest_magnitude(std::span<const float> x) {
  // Bits of magnitudes order as the values do, and every NaN lies above infinity.
  IntLanes largest{};
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes) {
    IntLanes bits;
    std::memcpy(&bits, x.data() + i, sizeof(bits));
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  int32_t out = 0;
  for (; i < x.size(); ++i) out = std::max(out, std::bit_cast<int32_t>(x[i]) & 0x7fffffff);
  for (size_t j = 0; j < kLanes; ++j) out = std::max(out, largest[j]);
  return std::bit_cast<float>(out);
}

}  // namespace omni
