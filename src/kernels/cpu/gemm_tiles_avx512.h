#pragma once
#include <immintrin.h>

#include "kernels/cpu/gemm_table.h"

// The AVX-512 micro-kernel, for any instruction that multiplies a broadcast group of 4 bytes of A with 16 columns of a
// panel. Included by files of one instruction set each.
namespace omni::cpu {
namespace {

static_assert(kPanelColumns == 32 && kStepBytes == 2 * 64, "a step is two registers");
static_assert(2 * kMaxTileRows + 2 + 1 <= 32, "accumulators, one step of the panel and a broadcast fit the registers");

typedef int32_t __attribute__((may_alias, aligned(1))) unaligned_word;

inline __m512i broadcast_word(const std::byte* p) {
  return _mm512_set1_epi32(*reinterpret_cast<const unaligned_word*>(p));
}

// Op: Accumulator, zero(), load(p), store(p, acc), multiply_add(acc, a, b). 24 accumulators stay in registers over all
// runs; rows are addressed from every third one, so that 12 rows need 4 pointers.
template <class Op, int kRows>
void tile_rows(const TileInput& in, void* accumulators) {
  using Accumulator = typename Op::Accumulator;
  std::byte* out = static_cast<std::byte*>(accumulators);
  Accumulator acc[kRows][2];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    acc[r][0] = in.add ? Op::load(out + r * kStepBytes) : Op::zero();
    acc[r][1] = in.add ? Op::load(out + r * kStepBytes + 64) : Op::zero();
  }
  constexpr int kBases = (kRows + 2) / 3;
  const std::byte* panel = in.panel;
  const int64_t stride = in.row_stride;
  for (int64_t i = 0; i < in.run_count; ++i) {
    const std::byte* base[kBases];
#pragma GCC unroll 4
    for (int g = 0; g < kBases; ++g) base[g] = in.a + in.runs[i].offset + 3 * g * stride;
    for (int64_t s = in.runs[i].steps; s > 0; --s) {
      const __m512i b0 = _mm512_loadu_si512(panel);
      const __m512i b1 = _mm512_loadu_si512(panel + 64);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const __m512i x = broadcast_word(base[r / 3] + (r % 3) * stride);
        acc[r][0] = Op::multiply_add(acc[r][0], x, b0);
        acc[r][1] = Op::multiply_add(acc[r][1], x, b1);
      }
      panel += kStepBytes;
#pragma GCC unroll 4
      for (int g = 0; g < kBases; ++g) base[g] += 4;
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    Op::store(out + r * kStepBytes, acc[r][0]);
    Op::store(out + r * kStepBytes + 64, acc[r][1]);
  }
}

template <class Op>
constexpr void fill_tiles(GemmTable& table) {
  table.max_rows = 12;
  table.tile[1] = tile_rows<Op, 1>;
  table.tile[2] = tile_rows<Op, 2>;
  table.tile[3] = tile_rows<Op, 3>;
  table.tile[4] = tile_rows<Op, 4>;
  table.tile[5] = tile_rows<Op, 5>;
  table.tile[6] = tile_rows<Op, 6>;
  table.tile[7] = tile_rows<Op, 7>;
  table.tile[8] = tile_rows<Op, 8>;
  table.tile[9] = tile_rows<Op, 9>;
  table.tile[10] = tile_rows<Op, 10>;
  table.tile[11] = tile_rows<Op, 11>;
  table.tile[12] = tile_rows<Op, 12>;
}

// Accumulators of f32.
struct FloatAccumulators {
  using Accumulator = __m512;
  static Accumulator zero() { return _mm512_setzero_ps(); }
  static Accumulator load(const std::byte* p) { return _mm512_loadu_ps(p); }
  static void store(std::byte* p, Accumulator acc) { _mm512_storeu_ps(p, acc); }
};

}  // namespace
}  // namespace omni::cpu
