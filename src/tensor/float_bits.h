#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

// Conversions between f32 and the small floats, all round to nearest even. Slow and obvious: kernels have their own.
namespace omni {

inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40);  // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);

// OCP E4M3 (finite range 448, no infinity, 0x7f is NaN); f32 beyond the range saturates.
float f8e4m3_to_f32(uint8_t bits);
uint8_t f32_to_f8e4m3(float value);
// E5M2 (finite range 57344, with infinities); f32 beyond the finite range saturates.
float f8e5m2_to_f32(uint8_t bits);
uint8_t f32_to_f8e5m2(float value);
// E8M0: a power of two, 2^(bits - 127); 0xff is NaN.
float f8e8m0_to_f32(uint8_t bits);
// E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 with a sign bit; f32 saturates at 6.
float f4e2m1_to_f32(uint8_t nibble);
uint8_t f32_to_f4e2m1(float value);

// The 16 values of NormalFloat4 (QLoRA, Dettmers et al. 2023, appendix E), ascending.
extern const std::array<float, 16> kNF4Values;
extern const std::array<float, 16> kIQ4Values;     // ggml's kvalues_iq4nl
extern const std::array<float, 16> kFP4BNBValues;  // bitsandbytes' fp4, sign in the top bit
uint8_t f32_to_nf4(float value);

}  // namespace omni
