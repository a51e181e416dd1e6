#pragma once
// QkvTable over V. Include one simd_*.h first.
#include "kernels/cpu/qkv_table.h"

namespace omni::cpu {
namespace {

inline V load_part(const void* x, bool bf16, int64_t i, int64_t n) {
  return bf16 ? V::load(static_cast<const uint16_t*>(x) + i, n) : V::load(static_cast<const float*>(x) + i, n);
}

// All of a head fits the buffer, padded with zeros to whole vectors, so that only loads and stores see the tail.
void qkv_head(const QkvHead& head) {
  constexpr int64_t kL = V::kLanes;
  alignas(64) float buffer[kMaxHeadDim + kL];
  alignas(64) float cos[kL / 2], sin[kL / 2];
  V square = V::set(0.0f);
  for (int64_t i = 0; i < head.count; i += kL) {
    const int64_t n = head.count - i < kL ? head.count - i : kL;
    const V x = load_part(head.x, head.x_bf16, i, n);
    square = V::fma(x, x, square);
    x.store(buffer + i);
  }
  const float mean = square.sum() / static_cast<float>(head.count);
  const V inverse = V::set(1.0f / __builtin_sqrtf(mean + head.eps));
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
      x = V::fma(x, V::load_twice(c), (x.swap_pairs() * V::load_twice(s)).negate_even());
    }
    if (head.out_bf16)
      x.store(static_cast<uint16_t*>(head.out) + i, n);
    else
      x.store(static_cast<float*>(head.out) + i, n);
  }
}

}  // namespace
}  // namespace omni::cpu
