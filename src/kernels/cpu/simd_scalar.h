#pragma once
#include <cmath>
#include <cstdint>

// V: a vector of kLanes floats, the vocabulary that the *_inl.h kernels are written in. This one is plain C++, four
// lanes wide so that pairs fit; simd_avx2.h and simd_avx512.h define the same struct. A count n means the first n
// lanes, n < kLanes or n = kLanes; loads fill the rest with zeros. Overloads on uint16_t are bf16, stores round to
// nearest even.
namespace omni::cpu {
namespace {

struct V {
  static constexpr int64_t kLanes = 4;
  float v[kLanes];

  template <class F>
  static V each(F f) {
    V out;
    for (int64_t i = 0; i < kLanes; ++i) out.v[i] = f(i);
    return out;
  }
  static uint32_t bits(float x) { return __builtin_bit_cast(uint32_t, x); }
  static float from_bits(uint32_t x) { return __builtin_bit_cast(float, x); }

  static V set(float x) {
    return each([&](int64_t) { return x; });
  }
  static V load(const float* p) {
    return each([&](int64_t i) { return p[i]; });
  }
  static V load(const float* p, int64_t n) {
    return each([&](int64_t i) { return i < n ? p[i] : 0.0f; });
  }
  static V load(const uint16_t* p) {
    return each([&](int64_t i) { return from_bits(static_cast<uint32_t>(p[i]) << 16); });
  }
  static V load(const uint16_t* p, int64_t n) {
    return each([&](int64_t i) { return i < n ? from_bits(static_cast<uint32_t>(p[i]) << 16) : 0.0f; });
  }
  // p - minus, both integers.
  static V from_ints(const int32_t* p, const int32_t* minus) {
    return each([&](int64_t i) { return static_cast<float>(p[i] - minus[i]); });
  }
  // p[0], p[0], p[1], p[1] ...
  static V load_twice(const float* p) {
    return each([&](int64_t i) { return p[i / 2]; });
  }

  static uint16_t bf16(float x) {
    const uint32_t b = bits(x);
    if ((b & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((b >> 16) | 0x40);
    return static_cast<uint16_t>((b + 0x7fffu + ((b >> 16) & 1)) >> 16);
  }
  void store(float* p) const { store(p, kLanes); }
  void store(float* p, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) p[i] = v[i];
  }
  void store(uint16_t* p) const { store(p, kLanes); }
  void store(uint16_t* p, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) p[i] = bf16(v[i]);
  }
  // Two vectors side by side.
  template <class T>
  static void store_two(T* p, V a, V b) {
    a.store(p);
    b.store(p + kLanes);
  }
  // The low byte of each lane, which holds an integer.
  void store_bytes(uint8_t* p, int64_t n) const {
    for (int64_t i = 0; i < n; ++i)
      p[i] = v[i] >= -256 && v[i] < 256 ? static_cast<uint8_t>(static_cast<int>(v[i])) : 0;
  }

  // The first n lanes, then those of otherwise.
  V first(int64_t n, V otherwise) const {
    return each([&](int64_t i) { return i < n ? v[i] : otherwise.v[i]; });
  }
  V round() const {  // half to even
    return each([&](int64_t i) { return __builtin_nearbyintf(v[i]); });
  }
  V abs() const {
    return each([&](int64_t i) { return __builtin_fabsf(v[i]); });
  }
  V sign_of(V x) const {  // |*this| with the sign of x
    return each([&](int64_t i) { return __builtin_copysignf(v[i], x.v[i]); });
  }
  V swap_pairs() const {
    return each([&](int64_t i) { return v[i ^ 1]; });
  }
  V negate_even() const {
    return each([&](int64_t i) { return i % 2 == 0 ? -v[i] : v[i]; });
  }
  V times_two_to(V n) const {  // n: integers in [-126, 127]
    return each([&](int64_t i) {
      // A NaN gives any power of two: v[i] is NaN too.
      const float safe = n.v[i] > -127 && n.v[i] < 128 ? n.v[i] : 0.0f;
      return v[i] * from_bits(static_cast<uint32_t>(static_cast<int>(safe) + 127) << 23);
    });
  }
  // x - floor(x)
  V fraction() const {
    return each([&](int64_t i) { return v[i] - __builtin_floorf(v[i]); });
  }
  // * 2^floor(x) for any x: what is too small becomes next to nothing, what is too large stays finite or becomes
  // infinite.
  V times_two_to_floor(V x) const {
    const V cut = max(min(x, set(127.0f)), set(-126.0f));
    return times_two_to(cut - cut.fraction());
  }
  V coarse_inverse() const {  // to 1e-4 of itself
    return set(1.0f) / *this;
  }
  static V where_below(V x, V limit, V yes, V no) {
    return each([&](int64_t i) { return x.v[i] < limit.v[i] ? yes.v[i] : no.v[i]; });
  }
  // Rounds the mantissa of a non-negative normal float to three bits.
  V three_bits() const {
    return each([&](int64_t i) {
      const uint32_t b = bits(v[i]);
      return from_bits((b + 0x7ffffu + ((b >> 20) & 1)) & ~0xfffffu);
    });
  }
  // The exponent and three bits of mantissa of a non-negative float, as a number.
  V top_bits() const {
    return each([&](int64_t i) { return static_cast<float>(bits(v[i]) >> 20); });
  }

  float sum() const { return (v[0] + v[1]) + (v[2] + v[3]); }
  float largest() const {
    float out = v[0];
    for (int64_t i = 1; i < kLanes; ++i) out = v[i] > out ? v[i] : out;
    return out;
  }

  friend V operator+(V a, V b) {
    return each([&](int64_t i) { return a.v[i] + b.v[i]; });
  }
  friend V operator-(V a, V b) {
    return each([&](int64_t i) { return a.v[i] - b.v[i]; });
  }
  friend V operator*(V a, V b) {
    return each([&](int64_t i) { return a.v[i] * b.v[i]; });
  }
  friend V operator/(V a, V b) {
    return each([&](int64_t i) { return a.v[i] / b.v[i]; });
  }
  static V fma(V a, V b, V c) {
    return each([&](int64_t i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  static V max(V a, V b) {
    return each([&](int64_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static V min(V a, V b) {
    return each([&](int64_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
};

}  // namespace
}  // namespace omni::cpu
