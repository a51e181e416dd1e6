#pragma once
// QkvTable over V. Include one simd_*.h first.
#include "kernels/cpu/qkv_table.h"

namespace omni::cpu {
namespace {

inline V rotate(V x, V cos, V sin) {
  return V::fma(x, cos, (x.swap_pairs() * sin).negate_even());
}

inline V inverse_norm(V square, int64_t count, float eps) {
  return V::set(1.0f / __builtin_sqrtf(square.sum() / static_cast<float>(count) + eps));
}

// A head of exactly kVectors vectors stays in registers, where no load or store needs a count.
template <class In, class Out, int64_t kVectors>
inline void whole_head(const QkvHeads& head, const In* in, Out* out) {
  constexpr int64_t kL = V::kLanes;
  V x[kVectors];
#pragma GCC unroll 32
  for (int64_t i = 0; i < kVectors; ++i) x[i] = V::load(in + i * kL);
  if (head.gain != nullptr) {
    V square[2] = {V::set(0.0f), V::set(0.0f)};
#pragma GCC unroll 32
    for (int64_t i = 0; i < kVectors; ++i) square[i % 2] = V::fma(x[i], x[i], square[i % 2]);
    const V inverse = inverse_norm(square[0] + square[1], head.count, head.eps);
#pragma GCC unroll 32
    for (int64_t i = 0; i < kVectors; ++i) x[i] = x[i] * inverse * V::load(head.gain + i * kL);
  }
  if (head.cos != nullptr) {
#pragma GCC unroll 32
    for (int64_t i = 0; i < kVectors; ++i)
      x[i] = rotate(x[i], V::load_twice(head.cos + i * kL / 2), V::load_twice(head.sin + i * kL / 2));
  }
#pragma GCC unroll 32
  for (int64_t i = 0; i < kVectors; i += 2) V::store_two(out + i * kL, x[i], x[i + 1]);
}

// Any size: all of a head fits the buffer, padded with zeros to whole vectors, so that only loads and stores see the
// tail.
template <class In, class Out>
void any_head(const QkvHeads& head, const In* in, Out* out) {
  constexpr int64_t kL = V::kLanes;
  alignas(64) float buffer[kMaxHeadDim + kL];
  alignas(64) float cos[kL / 2], sin[kL / 2];
  V square = V::set(0.0f);
  for (int64_t i = 0; i < head.count; i += kL) {
    const int64_t n = head.count - i < kL ? head.count - i : kL;
    const V x = V::load(in + i, n);
    square = V::fma(x, x, square);
    x.store(buffer + i);
  }
  const V inverse = inverse_norm(square, head.count, head.eps);
  for (int64_t i = 0; i < head.count; i += kL) {
    const int64_t n = head.count - i < kL ? head.count - i : kL;
    V x = V::load(buffer + i);
    if (head.gain != nullptr) x = x * inverse * V::load(head.gain + i, n);
    if (head.cos != nullptr) {
      const float *c = head.cos + i / 2, *s = head.sin + i / 2;
      if (n < kL) {
        for (int64_t j = 0; j < kL / 2; ++j) {
          cos[j] = j < n / 2 ? c[j] : 0;
          sin[j] = j < n / 2 ? s[j] : 0;
        }
        c = cos;
        s = sin;
      }
      x = rotate(x, V::load_twice(c), V::load_twice(s));
    }
    x.store(out + i, n);
  }
}

template <class In, class Out>
void heads_of(const QkvHeads& heads) {
  constexpr int64_t kVectors = 64 / V::kLanes;  // heads of 64 and 128 are what transformers have
  const In* in = static_cast<const In*>(heads.x);
  Out* out = static_cast<Out*>(heads.out);
  for (int64_t h = 0; h < heads.heads; ++h, in += heads.count, out += heads.out_stride) {
    if (heads.count == 64)
      whole_head<In, Out, kVectors>(heads, in, out);
    else if (heads.count == 128)
      whole_head<In, Out, 2 * kVectors>(heads, in, out);
    else
      any_head(heads, in, out);
  }
}

void qkv_heads(const QkvHeads& heads) {
  if (heads.x_bf16) return heads.out_bf16 ? heads_of<uint16_t, uint16_t>(heads) : heads_of<uint16_t, float>(heads);
  return heads.out_bf16 ? heads_of<float, uint16_t>(heads) : heads_of<float, float>(heads);
}

}  // namespace
}  // namespace omni::cpu
