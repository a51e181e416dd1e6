#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "base/clones.h"
#include "quant/codec_fit.h"

// Arithmetic of the grids over sixteen values at once, in the compiler's portable vectors; conditions choose a lane, so
// that nothing branches. nearest() gives the grid value next to t, codes() its stored code.
namespace omni {
namespace {

using Lanes = float __attribute__((vector_size(64)));
using IntLanes = int32_t __attribute__((vector_size(64)));

OMNI_INLINE Lanes all(float value) {
  return Lanes{} + value;
}
OMNI_INLINE Lanes bounded(Lanes value, float low, float high) {
  value = value < all(low) ? all(low) : value;
  return value > all(high) ? all(high) : value;
}
OMNI_INLINE Lanes rounded(Lanes value) {  // half to even, |value| < 2^22
  constexpr float kMagic = 12582912.0f;
  return (value + kMagic) - kMagic;
}
OMNI_INLINE IntLanes whole(Lanes value) {
  return __builtin_convertvector(value, IntLanes);
}
OMNI_INLINE IntLanes bits_of(Lanes value) {
  return std::bit_cast<IntLanes>(value);
}
OMNI_INLINE Lanes floats_of(IntLanes value) {
  return std::bit_cast<Lanes>(value);
}
OMNI_INLINE Lanes size_of(Lanes t) {
  return floats_of(bits_of(t) & 0x7fffffff);
}

OMNI_INLINE Lanes nearest(const IntGrid& grid, Lanes t) {
  return rounded(bounded(t, grid.low, grid.high));
}
OMNI_INLINE IntLanes codes(const IntGrid& grid, Lanes t) {
  return whole(nearest(grid, t));
}

// The same with bounds a lane; other grids have none.
OMNI_INLINE Lanes nearest_bounded(const IntGrid&, Lanes t, Lanes low, Lanes high) {
  t = t < low ? low : t;
  return rounded(t > high ? high : t);
}

// Steps of 0.5 up to 2, of 1 up to 4, of 2 up to 6, added up; halves go to even everywhere.
struct E2M1Steps {
  Lanes halves, ones, twos;
};
OMNI_INLINE E2M1Steps e2m1_steps(Lanes t) {
  const Lanes size = size_of(t);
  return {rounded(bounded(size * 2.0f, 0, 4)), rounded(bounded(size - 2.0f, 0, 2)),
          rounded(bounded((size - 4.0f) * 0.5f, 0, 1))};
}
OMNI_INLINE Lanes nearest(const E2M1Grid&, Lanes t) {
  const E2M1Steps steps = e2m1_steps(t);
  const Lanes value = steps.halves * 0.5f + steps.ones + steps.twos * 2.0f;
  return t < all(0) ? -value : value;
}
OMNI_INLINE IntLanes codes(const E2M1Grid&, Lanes t) {
  const E2M1Steps steps = e2m1_steps(t);
  return whole(steps.halves + steps.ones + steps.twos) | ((bits_of(t) >> 28) & 8);
}

// An 8-bit float: `mantissa` bits, the smallest normal value, the largest value.
OMNI_INLINE Lanes nearest_f8(Lanes t, int mantissa, float normal, float largest) {
  const Lanes size = size_of(t), limited = size < all(largest) ? size : all(largest);
  const int drop = 23 - mantissa;
  const IntLanes bits = bits_of(limited);
  const IntLanes up = bits + ((1 << (drop - 1)) - 1) + ((bits >> drop) & 1);
  const float unit = normal / static_cast<float>(1 << mantissa);
  const Lanes value = limited < all(normal) ? rounded(limited * (1 / unit)) * unit : floats_of((up >> drop) << drop);
  return floats_of(bits_of(value) | (bits_of(t) & static_cast<int32_t>(0x80000000)));
}
OMNI_INLINE IntLanes codes_f8(Lanes t, int mantissa, float normal, float largest) {
  const Lanes size = size_of(t), limited = size < all(largest) ? size : all(largest);
  const int drop = 23 - mantissa;
  const IntLanes bits = bits_of(limited);
  const IntLanes up = (bits + ((1 << (drop - 1)) - 1) + ((bits >> drop) & 1)) >> drop;
  const int32_t bias = (std::bit_cast<int32_t>(normal) >> drop) - (1 << mantissa);  // the smallest normal is code 1.0
  const float unit = normal / static_cast<float>(1 << mantissa);
  const IntLanes code = limited < all(normal) ? whole(rounded(limited * (1 / unit))) : up - bias;
  return code | ((bits_of(t) >> 24) & 0x80);
}
OMNI_INLINE Lanes nearest(const E4M3Grid&, Lanes t) {
  return nearest_f8(t, 3, 0.015625f, 448.0f);
}
OMNI_INLINE IntLanes codes(const E4M3Grid&, Lanes t) {
  return codes_f8(t, 3, 0.015625f, 448.0f);
}
OMNI_INLINE Lanes nearest(const E5M2Grid&, Lanes t) {
  return nearest_f8(t, 2, 0.00006103515625f, 57344.0f);
}
OMNI_INLINE IntLanes codes(const E5M2Grid&, Lanes t) {
  return codes_f8(t, 2, 0.00006103515625f, 57344.0f);
}

// Ascending values and their codes: the last whose boundary, halfway to the one before, lies below t.
template <size_t N>
struct Table {
  std::array<float, N> values;
  std::array<uint8_t, N> bits;
};
template <size_t N>
OMNI_INLINE Lanes nearest_of(const Table<N>& table, Lanes t) {
  Lanes out = all(table.values[0]);
  for (size_t i = 1; i < N; ++i)
    out = t > all((table.values[i - 1] + table.values[i]) / 2) ? all(table.values[i]) : out;
  return out;
}
template <size_t N>
OMNI_INLINE IntLanes codes_of(const Table<N>& table, Lanes t) {
  IntLanes out = IntLanes{} + table.bits[0];
  for (size_t i = 1; i < N; ++i)
    out = t > all((table.values[i - 1] + table.values[i]) / 2) ? IntLanes{} + table.bits[i] : out;
  return out;
}
const Table<16> kNF4Table{kNF4Values, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
const Table<16> kIQ4Table{kIQ4Values, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
const Table<8> kFP4BNBTable{{kFP4BNBValues[0], kFP4BNBValues[1], kFP4BNBValues[6], kFP4BNBValues[7], kFP4BNBValues[4],
                             kFP4BNBValues[5], kFP4BNBValues[2], kFP4BNBValues[3]},
                            {0, 1, 6, 7, 4, 5, 2, 3}};

OMNI_INLINE Lanes nearest(const NF4Grid&, Lanes t) {
  return nearest_of(kNF4Table, t);
}
OMNI_INLINE IntLanes codes(const NF4Grid&, Lanes t) {
  return codes_of(kNF4Table, t);
}
OMNI_INLINE Lanes nearest(const IQ4Grid&, Lanes t) {
  return nearest_of(kIQ4Table, t);
}
OMNI_INLINE IntLanes codes(const IQ4Grid&, Lanes t) {
  return codes_of(kIQ4Table, t);
}
OMNI_INLINE Lanes nearest(const FP4BNBGrid&, Lanes t) {
  const Lanes size = nearest_of(kFP4BNBTable, size_of(t));
  return t < all(0) ? -size : size;
}
OMNI_INLINE IntLanes codes(const FP4BNBGrid&, Lanes t) {
  return codes_of(kFP4BNBTable, size_of(t)) | (t < all(0) ? IntLanes{} + 8 : IntLanes{});
}

template <class Grid>
OMNI_INLINE Lanes nearest_bounded(const Grid& grid, Lanes t, Lanes, Lanes) {
  return nearest(grid, t);
}

}  // namespace
}  // namespace omni
