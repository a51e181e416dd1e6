#include "bench/peak.h"

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace omni::bench {
namespace {

constexpr int kChains = 24;  // independent accumulators, enough to hide the latency
constexpr int64_t kSteps = 200'000;

#if defined(__x86_64__)
// The empty statement keeps the compiler from folding steps together.
#define OMNI_KEEP(x) asm volatile("" : "+v"(x))

__attribute__((target("avx512f"))) void chain_f32_avx512() {
  __m512 acc[kChains] = {};
  __m512 a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(0.5f);
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) {
      acc[c] = _mm512_fmadd_ps(a, b, acc[c]);
      OMNI_KEEP(acc[c]);
    }
  }
}

__attribute__((target("avx512f,avx512bf16"))) void chain_bf16_avx512() {
  __m512 acc[kChains] = {};
  __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80), b = a;
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) {
      acc[c] = _mm512_dpbf16_ps(acc[c], a, b);
      OMNI_KEEP(acc[c]);
    }
  }
}

__attribute__((target("avx512f,avx512vnni"))) void chain_int8_avx512() {
  __m512i acc[kChains] = {};
  __m512i a = _mm512_set1_epi8(1), b = a;
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 24
    for (int c = 0; c < kChains; ++c) {
      acc[c] = _mm512_dpbusd_epi32(acc[c], a, b);
      OMNI_KEEP(acc[c]);
    }
  }
}

__attribute__((target("avx2,fma"))) void chain_f32_avx2() {
  constexpr int kFew = 12;
  __m256 acc[kFew] = {};
  __m256 a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(0.5f);
  for (int64_t i = 0; i < kSteps * kChains / kFew; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kFew; ++c) {
      acc[c] = _mm256_fmadd_ps(a, b, acc[c]);
      OMNI_KEEP(acc[c]);
    }
  }
}
#endif

struct Chain {
  void (*run)() = nullptr;
  double operations = 0;  // an instruction
};

Chain chain_of(Unit unit) {
#if defined(__x86_64__)
  const cpu::Features& f = cpu::features();
  switch (unit) {
    case Unit::kF32:
      if (f.isa >= cpu::Isa::kAvx512) return {chain_f32_avx512, 32};
      if (f.isa >= cpu::Isa::kAvx2) return {chain_f32_avx2, 16};
      break;
    case Unit::kBF16:
      if (f.bf16) return {chain_bf16_avx512, 64};
      break;
    case Unit::kInt8:
      if (f.vnni) return {chain_int8_avx512, 128};
      break;
  }
#else
  (void)unit;
#endif
  return {};
}

}  // namespace

double peak_gops(ThreadPool& pool, Unit unit) {
  const Chain chain = chain_of(unit);
  if (chain.run == nullptr) return 0;
  double best = 0;
  for (int attempt = 0; attempt < 100; ++attempt) {
    const double start = seconds(pool);
    pool.parallel_for(2 * pool.threads(), [&](int64_t, int) { chain.run(); });
    const double time = seconds(pool) - start;
    const double operations = 2.0 * pool.threads() * kSteps * kChains * chain.operations;
    best = std::max(best, operations / time * 1e-9);
  }
  return best;
}

}  // namespace omni::bench
