#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/attention_table.h"

namespace omni::cpu {
namespace {

inline V coarse_exp2(V x);

// A step is a pair of bf16, multiplied and summed into f32 by vdpbf16ps. 24 sums, 4 columns and a value take 29 of 32
// registers.
struct Step {
  static constexpr int kRows = 6, kVectors = 4;
  static constexpr int64_t kValues = 2;
  using Reg = __m512i;
  static Reg load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static Reg broadcast(const uint32_t* p) { return _mm512_set1_epi32(static_cast<int>(*p)); }
  static V multiply_add(Reg a, Reg b, V c) {
    return {_mm512_dpbf16_ps(c.v, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b))};
  }
  static V exp2(V x) { return coarse_exp2(x); }  // weights are rounded to bf16
  static const uint32_t* weights(const AttentionBuffers& b) { return b.weights; }
  static void store_weights(V p, const AttentionBuffers& b, int64_t query, int64_t key) {
    const __m256i bits = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(p.v));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(b.weights + (query * kKeyBlock + key) / kValues), bits);
  }
  static const uint32_t* queries(const AttentionUnit& u) {
    return static_cast<const uint32_t*>(u.q) + u.begin * u.shape.d / kValues;
  }
};

}  // namespace
}  // namespace omni::cpu

#include "kernels/cpu/attention_inl.h"

namespace omni::cpu {
namespace {

// 16 rows of 16 pairs, transposed: four rounds of swapping ever larger blocks.
void transpose(__m512i r[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 16; i += 8) {
    for (int j = 0; j < 4; ++j) {
      t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88);
      t[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
    }
  }
  for (int j = 0; j < 8; ++j) {
    r[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
    r[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
  }
}

void pack_k(const AttentionPack& job) {
  const AttentionShape& s = job.shape;
  const int64_t steps = s.d / 2;
  const auto* k = static_cast<const uint32_t*>(job.k);
  uint32_t* out = job.packed_k + job.begin * steps;
  for (int64_t column = 0; column < kPanel; column += 16) {
    for (int64_t step = 0; step < steps; step += 16) {
      const int64_t n = steps - step < 16 ? steps - step : 16;
      __m512i block[16];
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t key = job.begin + column + i;
        block[i] = key < s.keys ? _mm512_maskz_loadu_epi32(V::low(n), k + key * steps + step) : _mm512_setzero_si512();
      }
      transpose(block);
      for (int64_t i = 0; i < n; ++i) _mm512_storeu_si512(out + (step + i) * kPanel + column, block[i]);
    }
  }
}

// The first words of two rows of 32, alternating, and the last ones.
struct Alternate {
  uint16_t low[32], high[32];
  constexpr Alternate() : low(), high() {
    for (int i = 0; i < 32; ++i) {
      low[i] = static_cast<uint16_t>(i / 2 + i % 2 * 32);
      high[i] = static_cast<uint16_t>(low[i] + 16);
    }
  }
};
constexpr Alternate kAlternate;

// Two rows of values become one row of pairs.
void pack_v(const AttentionPack& job) {
  const AttentionShape& s = job.shape;
  const auto* v = static_cast<const uint16_t*>(job.v);
  const __m512i low = _mm512_loadu_si512(kAlternate.low), high = _mm512_loadu_si512(kAlternate.high);
  for (int64_t key = job.begin; key < job.begin + kPanel; key += 2) {
    int64_t c = 0;
    for (; key + 1 < s.keys && c + 32 <= s.d; c += 32) {
      const __m512i even = _mm512_loadu_si512(v + key * s.d + c), odd = _mm512_loadu_si512(v + (key + 1) * s.d + c);
      uint32_t* out = job.packed_v + (c / kPanel * (s.padded_keys / 2) + key / 2) * kPanel + c % kPanel;
      _mm512_storeu_si512(out, _mm512_permutex2var_epi16(even, low, odd));
      _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi16(even, high, odd));
    }
    for (; c < s.padded_d; c += 16) {
      const int64_t left = s.d - c, n = left < 0 ? 0 : left < 16 ? left : 16;
      const auto row = [&](int64_t at) {
        const __mmask16 mask = at < s.keys ? V::low(n) : __mmask16{0};
        return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, v + at * s.d + (n > 0 ? c : 0)));
      };
      const __m512i pairs = _mm512_or_si512(row(key), _mm512_slli_epi32(row(key + 1), 16));
      uint32_t* out = job.packed_v + (c / kPanel * (s.padded_keys / 2) + key / 2) * kPanel + c % kPanel;
      _mm512_storeu_si512(out, pairs);
    }
  }
}

void pack(const AttentionPack& job) {
  pack_k(job);
  pack_v(job);
}

}  // namespace

const AttentionTable kAttentionAvx512Bf16 = {kPanel, Step::kValues, pack, run_unit};

}  // namespace omni::cpu
