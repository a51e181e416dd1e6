#pragma once
// Attention in f32 products: a step is one float; bf16 operands are widened while they are packed. Define kTileRows and
// kTileVectors and include one simd_*.h first.

#include "kernels/cpu/attention_table.h"

namespace omni::cpu {
namespace {

inline V exp2(V x);

struct Step {
  static constexpr int kRows = kTileRows, kVectors = kTileVectors;
  static constexpr int64_t kValues = 1;
  using Reg = V;
  static V load(const uint32_t* p) { return V::load(reinterpret_cast<const float*>(p)); }
  static V broadcast(const uint32_t* p) { return V::set(__builtin_bit_cast(float, *p)); }
  static V multiply_add(V a, V b, V c) { return V::fma(a, b, c); }
  static V exp2(V x) { return cpu::exp2(x); }
  // Weights take the place of their scores.
  static const uint32_t* weights(const AttentionBuffers& b) { return reinterpret_cast<const uint32_t*>(b.scores); }
  static void store_weights(V p, const AttentionBuffers& b, int64_t query, int64_t key) {
    p.store(b.scores + query * kKeyBlock + key);
  }
  static const uint32_t* queries(const AttentionUnit& u);
};

}  // namespace
}  // namespace omni::cpu

#include "kernels/cpu/attention_inl.h"

namespace omni::cpu {
namespace {

inline uint32_t f32_bits(const void* data, bool bf16, int64_t at) {
  return bf16 ? static_cast<uint32_t>(static_cast<const uint16_t*>(data)[at]) << 16
              : static_cast<const uint32_t*>(data)[at];
}

const uint32_t* Step::queries(const AttentionUnit& u) {
  const int64_t from = u.begin * u.shape.d;
  if (!u.shape.bf16) return static_cast<const uint32_t*>(u.q) + from;
  for (int64_t i = 0; i < u.count * u.shape.d; ++i) u.buffers.queries[i] = f32_bits(u.q, true, from + i);
  return u.buffers.queries;
}

void pack_keys(const AttentionPack& job) {
  const AttentionShape& s = job.shape;
  uint32_t* k = job.packed_k + job.begin * s.d;
  for (int64_t column = 0; column < kPanel; ++column) {
    const int64_t key = job.begin + column;
    for (int64_t i = 0; i < s.d; ++i) {
      k[i * kPanel + column] = key < s.keys ? f32_bits(job.k, s.bf16, key * s.d + i) : 0;
    }
    for (int64_t i = 0; i < s.padded_d; ++i) {
      const bool inside = key < s.keys && i < s.d;
      job.packed_v[(i / kPanel * s.padded_keys + key) * kPanel + i % kPanel] =
          inside ? f32_bits(job.v, s.bf16, key * s.d + i) : 0;
    }
  }
}

constexpr AttentionTable kAttentionF32 = {kPanel, Step::kValues, pack_keys, run_unit};

}  // namespace
}  // namespace omni::cpu
