#pragma once
#include "kernels/cpu/gemm_table.h"
#include "kernels/cpu/math_inl.h"

// The epilogue of a tile over V: two vectors of columns at a time, what belongs to the columns held in registers over
// all rows. Include one simd_*.h first; everything here is in an anonymous namespace on purpose.
namespace omni::cpu {
namespace {

constexpr int64_t kPair = 2 * V::kLanes;
static_assert(kPanelColumns % kPair == 0);

// What each column of a pair of vectors is scaled, shifted and gated by; neutral where the output has no such part.
struct PairColumns {
  V scale[2], bias[2], gate[2];
  alignas(64) int32_t minus[kPair];  // 128 * sums
};

inline PairColumns pair_columns(const TileOutput& out, int64_t column) {
  PairColumns c;
  for (int i = 0; i < 2; ++i) {
    const int64_t at = column + i * V::kLanes;
    c.scale[i] = out.column_scale == nullptr ? V::set(1.0f) : V::load(out.column_scale + at);
    c.bias[i] = out.bias == nullptr ? V::set(0.0f) : V::load(out.bias + at);
    c.gate[i] = out.gate == nullptr ? V::set(1.0f) : V::load(out.gate + at);
  }
  for (int64_t i = 0; i < kPair; ++i) c.minus[i] = out.sums == nullptr ? 0 : 128 * out.sums[column + i];
  return c;
}

inline V load_sums(const float* acc, const int32_t*) {
  return V::load(acc);
}
inline V load_sums(const int32_t* acc, const int32_t* minus) {
  return V::from_ints(acc, minus);
}

template <Act kAct, class T>
inline V activate(V x) {
  constexpr bool kCoarse = sizeof(T) == 2;  // y is rounded to bf16
  if constexpr (kAct == Act::kGeluTanh) return kCoarse ? coarse_gelu_tanh(x) : gelu_tanh(x);
  if constexpr (kAct == Act::kGeluErf) return gelu_erf(x);
  if constexpr (kAct == Act::kQuickGelu) return quick_gelu(x);
  if constexpr (kAct == Act::kSilu) return kCoarse ? coarse_silu(x) : silu(x);
  return x;
}

// Columns [0, columns) of a pair; most pairs are whole.
template <class T>
inline void store_pair(V a, V b, T* y, int64_t columns) {
  if (columns >= kPair) return V::store_two(y, a, b);
  const int64_t first = columns < V::kLanes ? columns : V::kLanes;
  a.store(y, first);
  b.store(y + V::kLanes, columns - first);
}

// gate * v + residual.
inline void add_residual(const PairColumns& c, const float* residual, int64_t columns, V& a, V& b) {
  if (columns >= kPair) {
    a = V::fma(a, c.gate[0], V::load(residual));
    b = V::fma(b, c.gate[1], V::load(residual + V::kLanes));
    return;
  }
  const int64_t first = columns < V::kLanes ? columns : V::kLanes;
  a = V::fma(a, c.gate[0], V::load(residual, first));
  b = V::fma(b, c.gate[1], V::load(residual + V::kLanes, columns - first));
}

// T: of y, float or uint16_t (bf16).
template <class Acc, Act kAct, class T>
void finish_pair(const Acc* acc, int64_t rows, const TileOutput& out, int64_t column) {
  const PairColumns c = pair_columns(out, column);
  const int64_t columns = out.columns - column, y_stride = out.y_stride, residual_stride = out.residual_stride;
  const float *row_scale = out.row_scale, *residual = out.residual == nullptr ? nullptr : out.residual + column;
  const int64_t row_scale_step = out.row_scale_step;
  const bool scaled = row_scale != nullptr || out.column_scale != nullptr, gated = out.gate != nullptr;
  T* y = static_cast<T*>(out.y) + column;
  acc += column;
  for (int64_t row = 0; row < rows; ++row, acc += kPanelColumns) {
    V a = load_sums(acc, c.minus), b = load_sums(acc + V::kLanes, c.minus + V::kLanes);
    if (scaled) {
      const V scale = V::set(row_scale == nullptr ? 1.0f : row_scale[row * row_scale_step]);
      a = V::fma(a * scale, c.scale[0], c.bias[0]);
      b = V::fma(b * scale, c.scale[1], c.bias[1]);
    } else {
      a = a + c.bias[0];
      b = b + c.bias[1];
    }
    a = activate<kAct, T>(a);
    b = activate<kAct, T>(b);
    if (residual != nullptr) {
      add_residual(c, residual + row * residual_stride, columns, a, b);
    } else if (gated) {
      a = a * c.gate[0];
      b = b * c.gate[1];
    }
    store_pair(a, b, y + row * y_stride, columns);
  }
}

template <class Acc, Act kAct>
void finish_columns(const void* accumulators, int64_t rows, const TileOutput& out) {
  for (int64_t column = 0; column < out.columns; column += kPair) {
    const Acc* acc = static_cast<const Acc*>(accumulators);
    out.y_is_bf16 ? finish_pair<Acc, kAct, uint16_t>(acc, rows, out, column)
                  : finish_pair<Acc, kAct, float>(acc, rows, out, column);
  }
}

// Acc: float or int32_t.
template <class Acc>
void finish_tile(const void* acc, int64_t rows, const TileOutput& out) {
  switch (out.act) {
    case Act::kNone:
      return finish_columns<Acc, Act::kNone>(acc, rows, out);
    case Act::kGeluTanh:
      return finish_columns<Acc, Act::kGeluTanh>(acc, rows, out);
    case Act::kGeluErf:
      return finish_columns<Acc, Act::kGeluErf>(acc, rows, out);
    case Act::kQuickGelu:
      return finish_columns<Acc, Act::kQuickGelu>(acc, rows, out);
    case Act::kSilu:
      return finish_columns<Acc, Act::kSilu>(acc, rows, out);
  }
}

}  // namespace
}  // namespace omni::cpu
