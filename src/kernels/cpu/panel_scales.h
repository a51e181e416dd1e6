#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panel.h"

// Decoding of scales, as plain loops that each instruction set's files compile for themselves: everything here is in an
// anonymous namespace on purpose.
namespace omni::cpu {
namespace {

inline float bits_to_float(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}

// Small floats by moving their exponent and mantissa to f32's place and multiplying the exponent bias away: exact for
// subnormals too. Infinities and NaN do not occur in weights (the codec refuses them).
inline float e4m3_value(uint32_t x) {
  return bits_to_float((x & 0x7f) << 20 | (x & 0x80) << 24) * 0x1p120f;
}
inline float e5m2_value(uint32_t x) {
  return bits_to_float((x & 0x7f) << 21 | (x & 0x80) << 24) * 0x1p112f;
}
inline float half_value(uint32_t x) {
  return bits_to_float((x & 0x7fff) << 13 | (x & 0x8000) << 16) * 0x1p112f;
}
inline float e8m0_value(uint32_t x) {
  return bits_to_float(x == 0 ? 0x00400000u : x << 23);
}

template <class T, class F>
inline void load_values(const ScaleView& view, int64_t panel, int64_t group, int64_t rows, F value, float* out) {
  const T* data = static_cast<const T*>(view.data);
  if (view.row_group == 1) {
    const T* source = data + (panel * view.groups + group) * kPanelColumns;
    for (int c = 0; c < kPanelColumns; ++c) out[c] = value(source[c]);
    return;
  }
  for (int c = 0; c < kPanelColumns; ++c) {
    const int64_t column = panel * kPanelColumns + c < rows ? panel * kPanelColumns + c : rows - 1;
    const int64_t row = view.row_group == 0 ? 0 : column / view.row_group;
    out[c] = value(data[row * view.groups + group]);
  }
}

// The 32 scales of group `group` of a panel, as f32.
inline void load_scales(const ScaleView& view, int64_t panel, int64_t group, int64_t rows, float* out) {
  switch (view.dtype) {
    case DType::kF32:
      return load_values<float>(
          view, panel, group, rows, [](float x) { return x; }, out);
    case DType::kF16:
      return load_values<uint16_t>(
          view, panel, group, rows, [](uint16_t x) { return half_value(x); }, out);
    case DType::kBF16:
      return load_values<uint16_t>(
          view, panel, group, rows, [](uint16_t x) { return bits_to_float(static_cast<uint32_t>(x) << 16); }, out);
    case DType::kF8E4M3:
      return load_values<uint8_t>(
          view, panel, group, rows, [](uint8_t x) { return e4m3_value(x); }, out);
    case DType::kF8E8M0:
      return load_values<uint8_t>(
          view, panel, group, rows, [](uint8_t x) { return e8m0_value(x); }, out);
    case DType::kI8:
    case DType::kI6:
      return load_values<int8_t>(
          view, panel, group, rows, [](int8_t x) { return static_cast<float>(x); }, out);
    case DType::kU8:
      return load_values<uint8_t>(
          view, panel, group, rows, [](uint8_t x) { return static_cast<float>(x); }, out);
    case DType::kNone:
    case DType::kF8E5M2:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI32:
    case DType::kI64:
    case DType::kI4:
    case DType::kU4:
    case DType::kI5:
    case DType::kU5:
    case DType::kBool:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      break;
  }
}

inline int64_t outer_group(const ScaleView& outer, const ScaleView& inner, int64_t group) {
  return outer.group_columns == 0 ? 0 : group * inner.group_columns / outer.group_columns;
}

// Scales with their outer scales, and what is subtracted (zeros as minimums), of one group of a panel: value =
// code * scale[c] - minimum[c].
inline void load_group(const PanelView& w, int64_t panel, int64_t group, float* scale, float* minimum) {
  float other[kPanelColumns];
  load_scales(w.scales, panel, group, w.rows, scale);
  if (w.outer_scales.data != nullptr) {
    load_scales(w.outer_scales, panel, outer_group(w.outer_scales, w.scales, group), w.rows, other);
    for (int c = 0; c < kPanelColumns; ++c) scale[c] *= other[c];
  }
  if (w.zero == Zero::kNone) {
    for (int c = 0; c < kPanelColumns; ++c) minimum[c] = 0;
    return;
  }
  load_scales(w.zeros, panel, group, w.rows, minimum);
  if (w.zero == Zero::kPoint) {
    for (int c = 0; c < kPanelColumns; ++c) minimum[c] *= scale[c];
  } else if (w.outer_zeros.data != nullptr) {
    load_scales(w.outer_zeros, panel, outer_group(w.outer_zeros, w.zeros, group), w.rows, other);
    for (int c = 0; c < kPanelColumns; ++c) minimum[c] *= other[c];
  }
}

}  // namespace
}  // namespace omni::cpu
