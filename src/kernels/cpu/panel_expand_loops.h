#pragma once
#include "kernels/cpu/gemm_table.h"
#include "kernels/cpu/panel_codes.h"
#include "kernels/cpu/panel_scales.h"

// Expansion of kPanelCodes to f32 as plain loops for the compiler to vectorise; in an anonymous namespace because files
// of several instruction sets include it.
namespace omni::cpu {
namespace {

// Codes of one pair of k as values: out[0..31] the even k, out[32..63] the odd k.
inline void decode_nibbles(const float* table, const uint8_t* pair, float* out) {
  for (int c = 0; c < kPanelColumns; ++c) {
    out[c] = table[pair[c] & 15];
    out[c + kPanelColumns] = table[pair[c] >> 4];
  }
}

inline void decode_planes(int planes, int bias, const uint8_t* pair, float* out) {
  int32_t code[2 * kPanelColumns];
  for (int c = 0; c < kPanelColumns; ++c) {
    code[c] = (pair[c] & 15) - bias;
    code[c + kPanelColumns] = (pair[c] >> 4) - bias;
  }
  for (int plane = 0; plane < planes; ++plane) {
    uint32_t bits[2];
    __builtin_memcpy(bits, pair + 32 + 8 * plane, 8);
    for (uint32_t c = 0; c < kPanelColumns; ++c) {
      code[c] += static_cast<int32_t>((bits[0] >> c) & 1) << (4 + plane);
      code[c + kPanelColumns] += static_cast<int32_t>((bits[1] >> c) & 1) << (4 + plane);
    }
  }
  for (int c = 0; c < 2 * kPanelColumns; ++c) out[c] = static_cast<float>(code[c]);
}

template <class F>
inline void decode_bytes(const uint8_t* pair, F value, float* out) {
  for (int c = 0; c < kPanelColumns; ++c) {
    out[c] = value(pair[2 * c]);
    out[c + kPanelColumns] = value(pair[2 * c + 1]);
  }
}

inline void decode_pair(DType dtype, const float* table, const uint8_t* pair, float* out) {
  switch (dtype) {
    case DType::kI4:
    case DType::kU4:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      return decode_nibbles(table, pair, out);
    case DType::kI5:
    case DType::kU5:
      return decode_planes(1, code_bias(dtype), pair, out);
    case DType::kI6:
      return decode_planes(2, code_bias(dtype), pair, out);
    case DType::kI8:
      return decode_bytes(
          pair, [](uint8_t x) { return static_cast<float>(static_cast<int8_t>(x)); }, out);
    case DType::kU8:
      return decode_bytes(
          pair, [](uint8_t x) { return static_cast<float>(x); }, out);
    case DType::kF8E4M3:
      return decode_bytes(
          pair, [](uint8_t x) { return e4m3_value(x); }, out);
    case DType::kF8E5M2:
      return decode_bytes(
          pair, [](uint8_t x) { return e5m2_value(x); }, out);
    case DType::kNone:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E8M0:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
      break;
  }
}

void expand_loops(const PanelView& w, int64_t panel, int64_t first, int64_t steps, float* groups, std::byte* out) {
  float table[16];
  nibble_values(w.codes_dtype, table);
  const int64_t pair_bytes = code_pair_bytes(w.bits);
  const uint8_t* codes = reinterpret_cast<const uint8_t*>(w.data) + panel * w.panel_bytes + first / 2 * pair_bytes;
  float* to = reinterpret_cast<float*>(out);
  float* scale = groups;
  float* minimum = groups + kPanelColumns;
  const int64_t pairs = (steps + 1) / 2;
  const int64_t group_pairs = w.scales.group_columns == 0 ? (w.k + 1) / 2 : w.scales.group_columns / 2;
  int64_t loaded = -1;
  for (int64_t p = 0; p < pairs; ++p, codes += pair_bytes, to += 2 * kPanelColumns) {
    decode_pair(w.codes_dtype, table, codes, to);
    if (w.column_scales) continue;
    const int64_t group = (first / 2 + p) / group_pairs;
    if (group != loaded) load_group(w, panel, group, scale, minimum);
    loaded = group;
    for (int c = 0; c < kPanelColumns; ++c) {
      to[c] = to[c] * scale[c] - minimum[c];
      to[c + kPanelColumns] = to[c + kPanelColumns] * scale[c] - minimum[c];
    }
  }
}

}  // namespace
}  // namespace omni::cpu
