#pragma once
// AttentionTable over V and a Step (how 32 bits are multiplied, how many vectors a panel and how many queries a tile
// has). Include one simd_*.h and define Step first.
#include "kernels/cpu/attention_table.h"
#include "kernels/cpu/math_inl.h"

namespace omni::cpu {
namespace {

constexpr int64_t kL = V::kLanes;
constexpr int64_t kPanel = Step::kVectors * kL;
constexpr float kLog2E = 1.442695041f;
static_assert(kKeyBlock % kPanel == 0 && kQueryBlock % Step::kRows == 0 && kPanel % 2 == 0);

struct Tile {
  const uint32_t* a;  // [rows, steps]
  int64_t a_stride;
  const uint32_t* b;  // panel [steps, kPanel]
  int64_t steps;
  float* c;  // [rows, >= kPanel]
  int64_t c_stride;
  bool add;
};

template <int kRows, int kVectors>
void multiply(const Tile& t) {
  V acc[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[r][v] = t.add ? V::load(t.c + r * t.c_stride + v * kL) : V::set(0.0f);
  }
  const uint32_t *a = t.a, *b = t.b;
  for (int64_t s = 0; s < t.steps; ++s, ++a, b += kPanel) {
    typename Step::Reg column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) column[v] = Step::load(b + v * kL);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const typename Step::Reg row = Step::broadcast(a + r * t.a_stride);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[r][v] = Step::multiply_add(row, column[v], acc[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[r][v].store(t.c + r * t.c_stride + v * kL);
  }
}

template <int kVectors>
void multiply_rows(Tile t, int64_t rows) {
  for (; rows >= Step::kRows; rows -= Step::kRows) {
    multiply<Step::kRows, kVectors>(t);
    t.a += Step::kRows * t.a_stride;
    t.c += Step::kRows * t.c_stride;
  }
  for (; rows > 0; --rows) {
    multiply<1, kVectors>(t);
    t.a += t.a_stride;
    t.c += t.c_stride;
  }
}

// columns of the panel are wanted; whole vectors are computed.
void multiply_panel(const Tile& t, int64_t rows, int64_t columns) {
  const int64_t vectors = (columns + kL - 1) / kL;
  if constexpr (Step::kVectors == 4) {
    if (vectors == 3) return multiply_rows<3>(t, rows);
  }
  if constexpr (Step::kVectors > 2) {
    if (vectors == 2) return multiply_rows<2>(t, rows);
  }
  if (vectors == 1) return multiply_rows<1>(t, rows);
  multiply_rows<Step::kVectors>(t, rows);
}

struct Softmax {
  const AttentionUnit& unit;
  float largest[kQueryBlock];  // in units of log2
  float total[kQueryBlock];
};

// The largest score of one query over `seen` keys from `begin`, scaled to units of log2. With a bias, it is added to
// the scores in their place, which then are scaled too.
float largest_score(const AttentionUnit& u, int64_t query, int64_t begin, int64_t seen, V scale) {
  float* scores = u.buffers.scores + query * kKeyBlock;
  const V least = V::set(-1e30f);
  V most = least;
  if (u.bias != nullptr) {
    const float* bias = u.bias + (u.begin + query) * u.shape.keys + begin;
    for (int64_t i = 0; i < seen; i += kL) {
      const int64_t n = seen - i < kL ? seen - i : kL;
      const V x = V::fma(V::load(bias + i, n), V::set(kLog2E), V::load(scores + i) * scale).first(n, least);
      most = V::max(most, x);
      x.store(scores + i);
    }
    return most.largest();
  }
  int64_t i = 0;
  for (; i + kL <= seen; i += kL) most = V::max(most, V::load(scores + i) * scale);
  if (i < seen) most = V::max(most, (V::load(scores + i) * scale).first(seen - i, least));
  return most.largest();
}

// Scores of one query over `keys` keys from `begin`, of which it sees `seen`, become weights; the sums so far are
// scaled to the new maximum. width: keys rounded up to whole vectors of weights.
void weigh(Softmax& s, int64_t query, int64_t begin, int64_t seen, int64_t width) {
  const AttentionUnit& u = s.unit;
  float* scores = u.buffers.scores + query * kKeyBlock;
  const float before = s.largest[query];
  V scale = V::set(u.scale * kLog2E);
  const float most = largest_score(u, query, begin, seen, scale);
  const float now = most > before ? most : before;
  if (u.bias != nullptr) scale = V::set(1.0f);
  const V minus_top = V::set(-now), zero = V::set(0.0f);
  V total = zero;
  int64_t i = 0;
  for (; i + kL <= seen; i += kL) {
    const V p = Step::exp2(V::fma(V::load(scores + i), scale, minus_top));
    total = total + p;
    Step::store_weights(p, u.buffers, query, i);
  }
  for (; i < width; i += kL) {
    V p = zero;
    if (i < seen) {
      p = Step::exp2(V::fma(V::load(scores + i), scale, minus_top)).first(seen - i, zero);
      total = total + p;
    }
    Step::store_weights(p, u.buffers, query, i);
  }
  float kept = 1;
  if (now != before) {
    float lanes[kL];
    exp2(V::set(before - now)).store(lanes);
    kept = before == -1e30f ? 0 : lanes[0];
    float* sums = u.buffers.sums + query * u.shape.padded_d;
    for (int64_t i = 0; i < u.shape.padded_d; i += kL) (V::load(sums + i) * V::set(kept)).store(sums + i);
  }
  s.largest[query] = now;
  s.total[query] = s.total[query] * kept + total.sum();
}

void finish(const Softmax& s) {
  const AttentionUnit& u = s.unit;
  for (int64_t query = 0; query < u.count; ++query) {
    const V inverse = V::set(1.0f / s.total[query]);
    const float* sums = u.buffers.sums + query * u.shape.padded_d;
    for (int64_t i = 0; i < u.shape.d; i += kL) {
      const int64_t n = u.shape.d - i < kL ? u.shape.d - i : kL;
      const V y = V::load(sums + i) * inverse;
      if (u.out_bf16)
        y.store(static_cast<uint16_t*>(u.out) + query * u.out_stride + i, n);
      else
        y.store(static_cast<float*>(u.out) + query * u.out_stride + i, n);
    }
  }
}

// Keys that query (counted from the start of the unit) sees.
inline int64_t keys_seen(const AttentionUnit& u, int64_t query) {
  if (!u.causal) return u.shape.keys;
  const int64_t seen = u.begin + query + u.shape.keys - u.shape.tokens + 1;
  return seen < u.shape.keys ? seen : u.shape.keys;
}

void run_block(Softmax& s, const uint32_t* queries, int64_t begin, int64_t keys) {
  const AttentionUnit& u = s.unit;
  const int64_t d_steps = u.shape.d / Step::kValues, key_steps = u.shape.padded_keys / Step::kValues;
  for (int64_t key = 0; key < keys; key += kPanel) {
    const Tile tile{.a = queries,
                    .a_stride = d_steps,
                    .b = u.packed_k + (begin + key) * d_steps,
                    .steps = d_steps,
                    .c = u.buffers.scores + key,
                    .c_stride = kKeyBlock,
                    .add = false};
    multiply_panel(tile, u.count, keys - key < kPanel ? keys - key : kPanel);
  }
  const int64_t width = (keys + kL - 1) / kL * kL;
  for (int64_t query = 0; query < u.count; ++query) {
    const int64_t seen = keys_seen(u, query) - begin;
    weigh(s, query, begin, seen < 0 ? 0 : seen < keys ? seen : keys, width);
  }
  for (int64_t c = 0; c < u.shape.d; c += kPanel) {
    const Tile tile{.a = Step::weights(u.buffers),
                    .a_stride = kKeyBlock / Step::kValues,
                    .b = u.packed_v + c * key_steps + begin / Step::kValues * kPanel,
                    .steps = (keys + Step::kValues - 1) / Step::kValues,
                    .c = u.buffers.sums + c,
                    .c_stride = u.shape.padded_d,
                    .add = true};
    multiply_panel(tile, u.count, u.shape.d - c < kPanel ? u.shape.d - c : kPanel);
  }
}

void run_unit(const AttentionUnit& u) {
  Softmax s{.unit = u, .largest = {}, .total = {}};
  for (int64_t query = 0; query < u.count; ++query) s.largest[query] = -1e30f;
  for (int64_t i = 0; i < u.count * u.shape.padded_d; i += kL) V::set(0.0f).store(u.buffers.sums + i);
  const uint32_t* queries = Step::queries(u);
  const int64_t last = keys_seen(u, u.count - 1);
  const int64_t blocks = (last + kKeyBlock - 1) / kKeyBlock;
  const int64_t even = ((last + blocks - 1) / blocks + kPanel - 1) / kPanel * kPanel;
  for (int64_t begin = 0; begin < last; begin += even) {
    run_block(s, queries, begin, last - begin < even ? last - begin : even);
  }
  finish(s);
}

}  // namespace
}  // namespace omni::cpu
