#include "tensor/float_bits.h"

#include <limits>

namespace omni {
namespace {

// A small binary float without infinities in its rounding: exponent and mantissa bits, bias, largest finite value.
struct SmallFloat {
  int exponent_bits, mantissa_bits, bias;
  float largest;
};

// Rounds to nearest even by scaling to the unit of the last place; exact because ldexp and nearbyint are.
uint32_t encode_small(float value, const SmallFloat& f) {
  const uint32_t sign = std::signbit(value) ? 1u << (f.exponent_bits + f.mantissa_bits) : 0;
  float magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  int exponent = 0;
  if (magnitude > f.largest) magnitude = f.largest;
  std::frexp(magnitude, &exponent);  // magnitude = m * 2^exponent, m in [0.5, 1)
  int biased = exponent - 1 + f.bias;
  if (biased < 1) biased = 1;  // subnormal: same unit as the smallest normal
  const float unit = std::ldexp(1.0f, biased - f.bias - f.mantissa_bits);
  const auto steps = static_cast<uint32_t>(std::nearbyint(magnitude / unit));
  // steps may round up into the next binade: adding to the exponent field carries exactly there.
  const uint32_t hidden = 1u << f.mantissa_bits;
  const uint32_t code =
      steps < hidden ? steps : ((static_cast<uint32_t>(biased) << f.mantissa_bits) + (steps - hidden));
  return sign | code;
}

float decode_small(uint32_t bits, const SmallFloat& f) {
  const uint32_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
  const int exponent = static_cast<int>((bits >> f.mantissa_bits) & ((1u << f.exponent_bits) - 1));
  const bool negative = (bits >> (f.exponent_bits + f.mantissa_bits)) & 1;
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - f.bias - f.mantissa_bits)
                                        : std::ldexp(static_cast<float>(mantissa + (1u << f.mantissa_bits)),
                                                     exponent - f.bias - f.mantissa_bits);
  return negative ? -magnitude : magnitude;
}

constexpr SmallFloat kE4M3{4, 3, 7, 448.0f};
constexpr SmallFloat kE5M2{5, 2, 15, 57344.0f};
constexpr SmallFloat kE2M1{2, 1, 1, 6.0f};
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const uint32_t sign = (std::bit_cast<uint32_t>(value) >> 16) & 0x8000;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  if (std::fabs(value) >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);
  const float magnitude = std::fabs(value);
  if (magnitude < 0.00006103515625f) {  // subnormal: steps of 2^-24; adding 1.5 * 2^23 rounds to even
    const float steps = (magnitude * 16777216.0f + 12582912.0f) - 12582912.0f;
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(steps));
  }
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude) - (112u << 23);
  return static_cast<uint16_t>(sign | ((bits + 0xfff + ((bits >> 13) & 1)) >> 13));
}

float f8e4m3_to_f32(uint8_t bits) {
  return (bits & 0x7f) == 0x7f ? kNaN : decode_small(bits, kE4M3);
}
uint8_t f32_to_f8e4m3(float value) {
  return std::isnan(value) ? 0x7f : static_cast<uint8_t>(encode_small(value, kE4M3));
}

float f8e5m2_to_f32(uint8_t bits) {
  if ((bits & 0x7c) == 0x7c) {
    if ((bits & 3) != 0) return kNaN;
    return (bits & 0x80) != 0 ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  }
  return decode_small(bits, kE5M2);
}
uint8_t f32_to_f8e5m2(float value) {
  return std::isnan(value) ? 0x7f : static_cast<uint8_t>(encode_small(value, kE5M2));
}

float f8e8m0_to_f32(uint8_t bits) {
  return bits == 0xff ? kNaN : std::ldexp(1.0f, static_cast<int>(bits) - 127);
}

float f4e2m1_to_f32(uint8_t nibble) {
  return decode_small(nibble & 0xf, kE2M1);
}
uint8_t f32_to_f4e2m1(float value) {
  return static_cast<uint8_t>(encode_small(value, kE2M1));
}

const std::array<float, 16> kNF4Values = {-1.0f,
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

const std::array<float, 16> kIQ4Values = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

const std::array<float, 16> kFP4BNBValues = {
    0.0f, 0.005208333333f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
    0.0f, -0.005208333333f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f};

uint8_t f32_to_nf4(float value) {
  uint8_t best = 0;
  for (uint8_t i = 1; i < 16; ++i) {
    if (std::fabs(kNF4Values[i] - value) < std::fabs(kNF4Values[best] - value)) best = i;
  }
  return best;
}

}  // namespace omni
