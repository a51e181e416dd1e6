#pragma once
#include <immintrin.h>

#include <cstdint>

// V: 16 floats. Included only by *_avx512*.cpp; see simd_scalar.h for what the operations mean.
namespace omni::cpu {
namespace {

// bf16 in the upper half of each lane, anything below it.
inline __m512i high_bf16(__m512 v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
}

// a as 16 bf16; a, then b, as 32 bf16.
#if defined(__AVX512BF16__)
inline __m256i bf16_half(__m512 a) {
  return (__m256i)_mm512_cvtneps_pbh(a);
}
inline __m512i bf16_pair(__m512 a, __m512 b) {
  return (__m512i)_mm512_cvtne2ps_pbh(b, a);
}
#else
// Words 1, 3, 5 ... 63 of two registers.
struct UpperHalves {
  alignas(64) uint16_t words[32] = {};
  constexpr UpperHalves() {
    for (int i = 0; i < 32; ++i) words[i] = static_cast<uint16_t>(2 * i + 1);
  }
};
constexpr UpperHalves kUpperHalves;
inline __m256i bf16_half(__m512 a) {
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(high_bf16(a), 16));
}
inline __m512i bf16_pair(__m512 a, __m512 b) {
  return _mm512_permutex2var_epi16(high_bf16(a), _mm512_load_si512(kUpperHalves.words), high_bf16(b));
}
#endif

struct V {
  static constexpr int64_t kLanes = 16;
  __m512 v;

  static __mmask16 low(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
  static V set(float x) { return {_mm512_set1_ps(x)}; }
  static V load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static V load(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(low(n), p)}; }
  static V widen(__m256i bits) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))}; }
  static V load(const uint16_t* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static V load(const uint16_t* p, int64_t n) { return widen(_mm256_maskz_loadu_epi16(low(n), p)); }
  static V from_ints(const int32_t* p, const int32_t* minus) {
    return {_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_loadu_si512(minus)))};
  }
  static V load_twice(const float* p) {
    const __m512i at = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return {_mm512_permutexvar_ps(at, _mm512_castps256_ps512(_mm256_loadu_ps(p)))};
  }

  __m256i bf16() const { return bf16_half(v); }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, low(n), v); }
  void store(uint16_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bf16()); }
  void store(uint16_t* p, int64_t n) const { _mm256_mask_storeu_epi16(p, low(n), bf16()); }
  static void store_two(float* p, V a, V b) {
    a.store(p);
    b.store(p + kLanes);
  }
  static void store_two(uint16_t* p, V a, V b) { _mm512_storeu_si512(p, bf16_pair(a.v, b.v)); }
  void store_bytes(uint8_t* p, int64_t n) const {
    _mm_mask_storeu_epi8(p, low(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }

  V first(int64_t n, V otherwise) const { return {_mm512_mask_mov_ps(otherwise.v, low(n), v)}; }
  V round() const { return {_mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  V abs() const { return {_mm512_abs_ps(v)}; }
  V sign_of(V x) const {  // |*this| with the sign of x
    return {_mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(v), _mm512_castps_si512(x.v),
                                                          _mm512_set1_epi32(INT32_MIN), 0xd8))};
  }
  V swap_pairs() const { return {_mm512_permute_ps(v, 0xb1)}; }
  V negate_even() const { return {_mm512_mask_sub_ps(v, 0x5555, _mm512_setzero_ps(), v)}; }
  V times_two_to(V n) const { return {_mm512_scalef_ps(v, n.v)}; }
  V fraction() const { return {_mm512_reduce_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
  V times_two_to_floor(V x) const { return times_two_to(x); }  // scalef takes the floor itself
  V coarse_inverse() const { return {_mm512_rcp14_ps(v)}; }
  // Below limit: yes, else no.
  static V where_below(V x, V limit, V yes, V no) {
    return {_mm512_mask_mov_ps(no.v, _mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ), yes.v)};
  }
  // A non-negative grid value of E4M3 rounded from a non-negative normal float: three bits of mantissa.
  V three_bits() const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 20), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7ffff)), odd);
    return {_mm512_castsi512_ps(_mm512_andnot_si512(_mm512_set1_epi32(0xfffff), up))};
  }
  // The exponent and three bits of a non-negative float as a number: bits >> 20.
  V top_bits() const { return {_mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_castps_si512(v), 20))}; }

  float sum() const { return _mm512_reduce_add_ps(v); }
  float largest() const { return _mm512_reduce_max_ps(v); }

  friend V operator+(V a, V b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend V operator-(V a, V b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend V operator*(V a, V b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend V operator/(V a, V b) { return {_mm512_div_ps(a.v, b.v)}; }
  static V fma(V a, V b, V c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  static V max(V a, V b) { return {_mm512_max_ps(a.v, b.v)}; }
  static V min(V a, V b) { return {_mm512_min_ps(a.v, b.v)}; }
};

}  // namespace
}  // namespace omni::cpu
