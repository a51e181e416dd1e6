#pragma once
#include <immintrin.h>

#include "kernels/cpu/gemm_table.h"

// The AVX2 micro-kernel: a panel's 32 columns in two halves of 16, 6 rows x 2 registers of accumulators. Included by
// files of one instruction set each.
namespace omni::cpu {
namespace {

static_assert(kPanelColumns == 32 && kStepBytes == 4 * 32, "a step is four registers");

typedef int32_t __attribute__((may_alias, aligned(1))) unaligned_word;

template <class Op, int kRows>
void tile_half(const TileInput& in, const std::byte* panel, std::byte* out) {
  using Accumulator = typename Op::Accumulator;
  Accumulator acc[kRows][2];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    acc[r][0] = in.add ? Op::load(out + r * kStepBytes) : Op::zero();
    acc[r][1] = in.add ? Op::load(out + r * kStepBytes + 32) : Op::zero();
  }
  constexpr int kBases = (kRows + 2) / 3;
  const int64_t stride = in.row_stride;
  for (int64_t i = 0; i < in.run_count; ++i) {
    const std::byte* base[kBases];
#pragma GCC unroll 2
    for (int g = 0; g < kBases; ++g) base[g] = in.a + in.runs[i].offset + 3 * g * stride;
    for (int64_t s = in.runs[i].steps; s > 0; --s) {
      const __m256i b0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
      const __m256i b1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + 32));
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const __m256i x = _mm256_set1_epi32(*reinterpret_cast<const unaligned_word*>(base[r / 3] + (r % 3) * stride));
        acc[r][0] = Op::multiply_add(acc[r][0], x, b0);
        acc[r][1] = Op::multiply_add(acc[r][1], x, b1);
      }
      panel += kStepBytes;
#pragma GCC unroll 2
      for (int g = 0; g < kBases; ++g) base[g] += 4;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
    Op::store(out + r * kStepBytes, acc[r][0]);
    Op::store(out + r * kStepBytes + 32, acc[r][1]);
  }
}

template <class Op, int kRows>
void tile_rows(const TileInput& in, void* accumulators) {
  std::byte* out = static_cast<std::byte*>(accumulators);
  tile_half<Op, kRows>(in, in.panel, out);
  tile_half<Op, kRows>(in, in.panel + 64, out + 64);
}

template <class Op>
constexpr void fill_tiles(GemmTable& table) {
  table.max_rows = 6;
  table.tile[1] = tile_rows<Op, 1>;
  table.tile[2] = tile_rows<Op, 2>;
  table.tile[3] = tile_rows<Op, 3>;
  table.tile[4] = tile_rows<Op, 4>;
  table.tile[5] = tile_rows<Op, 5>;
  table.tile[6] = tile_rows<Op, 6>;
}

}  // namespace
}  // namespace omni::cpu
