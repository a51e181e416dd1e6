#pragma once
#include <immintrin.h>

#include <cstdint>

// V: 8 floats. Included only by *_avx2.cpp; see simd_scalar.h for what the operations mean.
namespace omni::cpu {
namespace {

struct V {
  static constexpr int64_t kLanes = 8;
  __m256 v;

  static __m256i iota() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static __m256i low(int64_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), iota()); }
  static V set(float x) { return {_mm256_set1_ps(x)}; }
  static V load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static V load(const float* p, int64_t n) { return {_mm256_maskload_ps(p, low(n))}; }
  static V load(const uint16_t* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16))};
  }
  static V load(const uint16_t* p, int64_t n) {
    alignas(16) uint16_t all[8] = {};
    for (int64_t i = 0; i < n; ++i) all[i] = p[i];
    return load(all);
  }
  static V from_ints(const int32_t* p, const int32_t* minus) {
    const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_sub_epi32(a, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(minus))))};
  }
  static V load_twice(const float* p) {
    const __m256i at = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return {_mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), at)};
  }

  __m128i bf16() const {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store(float* p, int64_t n) const { _mm256_maskstore_ps(p, low(n), v); }
  void store(uint16_t* p) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bf16()); }
  void store(uint16_t* p, int64_t n) const {
    alignas(16) uint16_t all[8];
    store(all);
    for (int64_t i = 0; i < n; ++i) p[i] = all[i];
  }
  template <class T>
  static void store_two(T* p, V a, V b) {
    a.store(p);
    b.store(p + kLanes);
  }
  void store_bytes(uint8_t* p, int64_t n) const {
    alignas(32) int32_t all[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(all), _mm256_cvtps_epi32(v));
    for (int64_t i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(all[i]);
  }

  V first(int64_t n, V otherwise) const { return {_mm256_blendv_ps(otherwise.v, v, _mm256_castsi256_ps(low(n)))}; }
  V round() const { return {_mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
  V abs() const { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), v)}; }
  V sign_of(V x) const { return {_mm256_or_ps(abs().v, _mm256_and_ps(_mm256_set1_ps(-0.0f), x.v))}; }
  V swap_pairs() const { return {_mm256_permute_ps(v, 0xb1)}; }
  V negate_even() const {
    return {_mm256_xor_ps(v, _mm256_setr_ps(-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f))};
  }
  V times_two_to(V n) const {  // n in [-126, 127]
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
    return {_mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)))};
  }
  V fraction() const { return {_mm256_sub_ps(v, _mm256_floor_ps(v))}; }
  V times_two_to_floor(V x) const { return times_two_to({_mm256_floor_ps(max(min(x, set(127.0f)), set(-126.0f)).v)}); }
  V coarse_inverse() const { return set(1.0f) / *this; }
  static V where_below(V x, V limit, V yes, V no) {
    return {_mm256_blendv_ps(no.v, yes.v, _mm256_cmp_ps(x.v, limit.v, _CMP_LT_OQ))};
  }
  V three_bits() const {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7ffff)), odd);
    return {_mm256_castsi256_ps(_mm256_andnot_si256(_mm256_set1_epi32(0xfffff), up))};
  }
  V top_bits() const { return {_mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_castps_si256(v), 20))}; }

  float sum() const {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  float largest() const {
    const __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  friend V operator+(V a, V b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend V operator-(V a, V b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend V operator*(V a, V b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend V operator/(V a, V b) { return {_mm256_div_ps(a.v, b.v)}; }
  static V fma(V a, V b, V c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  static V max(V a, V b) { return {_mm256_max_ps(a.v, b.v)}; }
  static V min(V a, V b) { return {_mm256_min_ps(a.v, b.v)}; }
};

}  // namespace
}  // namespace omni::cpu
