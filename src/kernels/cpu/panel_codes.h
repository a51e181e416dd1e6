#pragma once
#include <cstdint>

#include "tensor/dtype.h"

// How codes lie in kPanelCodes, shared by packing and expansion; in an anonymous namespace because files of every
// instruction set include it.
//   4 bits and less: a pair of k takes 32 bytes, byte c = column c, low nibble the even k, high nibble the odd k.
//   5 and 6 bits: the same for the low four bits, then for each further bit 4 bytes for the even k (bit c = column c)
//   and 4 bytes for the odd k. Signed codes are stored plus half their range (code_bias).
//   8 bits: a pair of k takes 64 bytes, column c = (even k, odd k).
namespace omni::cpu {
namespace {

// Bits of a code in a panel: 2- and 3-bit codes take four.
inline int panel_bits(DType dtype) {
  const int bits = dtype_info(dtype).bits;
  return bits < 4 ? 4 : bits;
}

constexpr int64_t code_pair_bytes(int bits) {
  return bits == 8 ? 64 : 32 + 8 * (bits - 4);
}

// What was added to codes of 5 and 6 bits.
inline int code_bias(DType dtype) {
  return dtype == DType::kI5 ? 16 : dtype == DType::kI6 ? 32 : 0;
}

// The values of the 16 codes of a 4-bit dtype (NormalFloat4: QLoRA, appendix E; fp4bnb: bitsandbytes'
// table of fp4 values; iq4: ggml's kvalues_iq4nl).
inline void nibble_values(DType dtype, float* out) {
  constexpr float kHalves[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  constexpr float kNormal[16] = {-1.0f,
                                 -0.6961928009986877f,
                                 -0.5250730514526367f,
                                 -0.39491748809814453f,
                                 -0.28444138169288635f,
                                 -0.18477343022823334f,
                                 -0.09105003625154495f,
                                 0.0f,
                                 0.07958029955625534f,
                                 0.16093020141124725f,
                                 0.24611230194568634f,
                                 0.33791524171829224f,
                                 0.44070982933044434f,
                                 0.5626170039176941f,
                                 0.7229568362236023f,
                                 1.0f};
  constexpr float kIQ4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  constexpr float kBitsAndBytes[8] = {0, 0.005208333333f, 0.66666667f, 1.0f, 0.33333333f, 0.5f, 0.16666667f, 0.25f};
  for (int code = 0; code < 16; ++code) {
    if (dtype == DType::kI4 || dtype == DType::kI3 || dtype == DType::kI2) {
      out[code] = static_cast<float>(code < 8 ? code : code - 16);
    } else if (dtype == DType::kF4E2M1) {
      out[code] = code < 8 ? kHalves[code] : -kHalves[code - 8];
    } else if (dtype == DType::kNF4) {
      out[code] = kNormal[code];
    } else if (dtype == DType::kIQ4) {
      out[code] = kIQ4[code];
    } else if (dtype == DType::kFP4BNB) {
      out[code] = code < 8 ? kBitsAndBytes[code] : -kBitsAndBytes[code - 8];
    } else {
      out[code] = static_cast<float>(code);
    }
  }
}

}  // namespace
}  // namespace omni::cpu
