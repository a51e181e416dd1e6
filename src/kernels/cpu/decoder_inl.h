#pragma once
// DecoderTable over V. Include one simd_*.h and math_inl.h first.
#include "kernels/cpu/decoder_table.h"

namespace omni::cpu {
namespace {

constexpr int64_t kBuffer = kMaxDecoderHead + V::kLanes;  // of a head, padded with zeros to whole vectors

inline int64_t lanes_at(int64_t i, int64_t count) {
  return count - i < V::kLanes ? count - i : V::kLanes;
}

inline void widen(const void* x, bool bf16, int64_t count, float* to) {
  for (int64_t i = 0; i < count; i += V::kLanes) {
    const int64_t n = lanes_at(i, count);
    const V v = bf16 ? V::load(static_cast<const uint16_t*>(x) + i, n) : V::load(static_cast<const float*>(x) + i, n);
    v.store(to + i);
  }
}

inline void narrow(const float* x, int64_t count, void* to, bool bf16) {
  for (int64_t i = 0; i < count; i += V::kLanes) {
    const int64_t n = lanes_at(i, count);
    if (bf16)
      V::load(x + i).store(static_cast<uint16_t*>(to) + i, n);
    else
      V::load(x + i).store(static_cast<float*>(to) + i, n);
  }
}

void norm_head(const DecoderHead& head, float* x) {
  V square = V::set(0.0f);
  for (int64_t i = 0; i < head.count; i += V::kLanes) {
    const V v = V::load(x + i);
    square = V::fma(v, v, square);
  }
  const V inverse = V::set(1.0f / __builtin_sqrtf(square.sum() / static_cast<float>(head.count) + head.eps));
  for (int64_t i = 0; i < head.count; i += V::kLanes) {
    (V::load(x + i) * inverse * V::load(head.gain + i, lanes_at(i, head.count))).store(x + i);
  }
}

void rotate_halves(const DecoderHead& head, float* x) {
  const int64_t half = head.count / 2;
  for (int64_t i = 0; i < half; i += V::kLanes) {
    const int64_t n = lanes_at(i, half);
    const V c = V::load(head.cos + i, n), s = V::load(head.sin + i, n);
    const V first = V::load(x + i, n), second = V::load(x + half + i, n);
    V::fma(first, c, V::set(0.0f) - second * s).store(x + i, n);
    V::fma(second, c, first * s).store(x + half + i, n);
  }
}

void split_head(const DecoderHead& head) {
  alignas(64) float x[kBuffer];
  widen(head.x, head.x_bf16, head.count, x);
  if (head.gain != nullptr) norm_head(head, x);
  if (head.cos != nullptr) rotate_halves(head, x);
  narrow(x, head.count, head.out, head.out_bf16);
}

template <class T>
V dot(const float* q, const T* k, int64_t d) {
  V sum[2] = {V::set(0.0f), V::set(0.0f)};
  int64_t i = 0;
  for (; i + 2 * V::kLanes <= d; i += 2 * V::kLanes) {
    sum[0] = V::fma(V::load(q + i), V::load(k + i), sum[0]);
    sum[1] = V::fma(V::load(q + i + V::kLanes), V::load(k + i + V::kLanes), sum[1]);
  }
  for (; i < d; i += V::kLanes) sum[0] = V::fma(V::load(q + i), V::load(k + i, lanes_at(i, d)), sum[0]);
  return sum[0] + sum[1];
}

// Scores of `count` keys, padded with very small ones to whole vectors; returns the largest.
template <class T>
float scores_of(const DecoderQuery& query, const float* q, const T* k, int64_t count, float* scores) {
  for (int64_t key = 0; key < count; ++key) scores[key] = dot(q, k + key * query.d, query.d).sum() * query.scale;
  const int64_t padded = (count + V::kLanes - 1) / V::kLanes * V::kLanes;
  for (int64_t key = count; key < padded; ++key) scores[key] = -1e30f;
  V most = V::load(scores);
  for (int64_t key = V::kLanes; key < padded; key += V::kLanes) most = V::max(most, V::load(scores + key));
  return most.largest();
}

template <class T>
void attend_to(const DecoderQuery& query) {
  alignas(64) float q[kBuffer], mean[kBuffer], scores[kDecoderKeys + V::kLanes];
  widen(query.q, query.bf16, query.d, q);
  for (int64_t i = 0; i < query.d; i += V::kLanes) V::set(0.0f).store(mean + i);
  float largest = -1e30f, sum = 0;
  for (int64_t begin = 0; begin < query.keys; begin += kDecoderKeys) {
    const int64_t count = query.keys - begin < kDecoderKeys ? query.keys - begin : kDecoderKeys;
    const T *k = static_cast<const T*>(query.k) + begin * query.d,
            *v = static_cast<const T*>(query.v) + begin * query.d;
    const float most = scores_of(query, q, k, count, scores), now = most > largest ? most : largest;
    V block = V::set(0.0f);
    for (int64_t key = 0; key < count; key += V::kLanes) {
      const V p = exp(V::load(scores + key) - V::set(now)).first(lanes_at(key, count), V::set(0.0f));
      p.store(scores + key);
      block = block + p;
    }
    const float fade = begin == 0 ? 0.0f : __builtin_expf(largest - now);
    sum = sum * fade + block.sum();
    for (int64_t i = 0; i < query.d; i += V::kLanes) {
      const int64_t n = lanes_at(i, query.d);
      V acc = V::load(mean + i) * V::set(fade);
      for (int64_t key = 0; key < count; ++key) {
        acc = V::fma(V::set(scores[key]), V::load(v + key * query.d + i, n), acc);
      }
      acc.store(mean + i);
    }
    largest = now;
  }
  const V inverse = V::set(1.0f / sum);
  for (int64_t i = 0; i < query.d; i += V::kLanes) (V::load(mean + i) * inverse).store(mean + i);
  narrow(mean, query.d, query.out, query.out_bf16);
}

void attend(const DecoderQuery& query) {
  query.bf16 ? attend_to<uint16_t>(query) : attend_to<float>(query);
}

}  // namespace
}  // namespace omni::cpu
