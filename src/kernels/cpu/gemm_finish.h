#pragma once
#include "kernels/cpu/gemm_table.h"

// The epilogue of a tile as plain loops over 32 columns, compiled (and vectorised) by each instruction set's files for
// itself: everything here is in an anonymous namespace on purpose.
namespace omni::cpu {
namespace {

inline float multiply_add(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// e^x to about 2e-7 relative, x clamped to where it is a normal f32: 2^n * e^f with |f| <= ln(2) / 2.
inline float exp_value(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float n = (x * 1.44269504f + kRound) - kRound;
  float f = multiply_add(n, -0.693359375f, x);
  f = multiply_add(n, 2.12194440e-4f, f);
  float p = 1.0f / 5040;
  p = multiply_add(p, f, 1.0f / 720);
  p = multiply_add(p, f, 1.0f / 120);
  p = multiply_add(p, f, 1.0f / 24);
  p = multiply_add(p, f, 1.0f / 6);
  p = multiply_add(p, f, 0.5f);
  p = multiply_add(p, f, 1.0f);
  p = multiply_add(p, f, 1.0f);
  const int32_t power = (static_cast<int32_t>(n) + 127) << 23;
  return p * __builtin_bit_cast(float, power);
}

inline float sigmoid_value(float x) {
  return 1.0f / (1.0f + exp_value(-x));
}

// x * (1 + erf(x / sqrt 2)) / 2, with erf from Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
inline float gelu_erf_value(float x) {
  const float z = (x < 0 ? -x : x) * 0.70710678f;
  const float t = 1.0f / multiply_add(0.3275911f, z, 1.0f);
  float p = 1.061405429f;
  p = multiply_add(p, t, -1.453152027f);
  p = multiply_add(p, t, 1.421413741f);
  p = multiply_add(p, t, -0.284496736f);
  p = multiply_add(p, t, 0.254829592f);
  const float tail = 0.5f * p * t * exp_value(-z * z);  // (1 - erf(z)) / 2
  return x * (x < 0 ? tail : 1.0f - tail);
}

inline float gelu_tanh_value(float x) {
  // (1 + tanh u) / 2 = sigmoid(2 u)
  return x * sigmoid_value(1.5957691216f * multiply_add(0.044715f * x * x, x, x));
}

template <class F>
inline void each_column(float* v, F f) {
  for (int c = 0; c < kPanelColumns; ++c) v[c] = f(v[c]);
}

inline void activate(Act act, float* v) {
  switch (act) {
    case Act::kNone:
      return;
    case Act::kGeluTanh:
      return each_column(v, [](float x) { return gelu_tanh_value(x); });
    case Act::kGeluErf:
      return each_column(v, [](float x) { return gelu_erf_value(x); });
    case Act::kQuickGelu:
      return each_column(v, [](float x) { return x * sigmoid_value(1.702f * x); });
    case Act::kSilu:
      return each_column(v, [](float x) { return x * sigmoid_value(x); });
  }
}

inline uint16_t round_to_bf16(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

inline void store_row(const float* v, const TileOutput& out, int64_t row) {
  if (out.y_is_bf16) {
    uint16_t* y = static_cast<uint16_t*>(out.y) + row * out.y_stride;
    uint16_t rounded[kPanelColumns];
    for (int c = 0; c < kPanelColumns; ++c) rounded[c] = round_to_bf16(v[c]);
    if (out.columns == kPanelColumns)
      __builtin_memcpy(y, rounded, sizeof rounded);
    else
      for (int c = 0; c < out.columns; ++c) y[c] = rounded[c];
    return;
  }
  float* y = static_cast<float*>(out.y) + row * out.y_stride;
  if (out.columns == kPanelColumns)
    __builtin_memcpy(y, v, kPanelColumns * sizeof(float));
  else
    for (int c = 0; c < out.columns; ++c) y[c] = v[c];
}

inline void load_accumulators(const float* acc, const TileOutput&, float* v) {
  for (int c = 0; c < kPanelColumns; ++c) v[c] = acc[c];
}
inline void load_accumulators(const int32_t* acc, const TileOutput& out, float* v) {
  if (out.sums != nullptr) {
    for (int c = 0; c < kPanelColumns; ++c) v[c] = static_cast<float>(acc[c] - 128 * out.sums[c]);
  } else {
    for (int c = 0; c < kPanelColumns; ++c) v[c] = static_cast<float>(acc[c]);
  }
}

// Acc: float or int32_t.
template <class Acc>
void finish_tile(const void* accumulators, int64_t rows, const TileOutput& out) {
  const Acc* acc = static_cast<const Acc*>(accumulators);
  for (int64_t row = 0; row < rows; ++row, acc += kPanelColumns) {
    alignas(64) float v[kPanelColumns];
    load_accumulators(acc, out, v);
    if (out.row_scale != nullptr) {
      const float scale = out.row_scale[row * out.row_scale_step];
      for (int c = 0; c < kPanelColumns; ++c) v[c] *= scale;
    }
    if (out.column_scale != nullptr) {
      for (int c = 0; c < kPanelColumns; ++c) v[c] *= out.column_scale[c];
    }
    if (out.bias != nullptr) {
      for (int c = 0; c < kPanelColumns; ++c) v[c] += out.bias[c];
    }
    activate(out.act, v);
    if (out.gate != nullptr) {
      for (int c = 0; c < kPanelColumns; ++c) v[c] *= out.gate[c];
    }
    if (out.residual != nullptr) {
      const float* residual = out.residual + row * out.residual_stride;
      if (out.columns == kPanelColumns)
        for (int c = 0; c < kPanelColumns; ++c) v[c] += residual[c];
      else
        for (int c = 0; c < out.columns; ++c) v[c] += residual[c];
    }
    store_row(v, out, row);
  }
}

}  // namespace
}  // namespace omni::cpu
