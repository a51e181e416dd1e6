#include "tensor/float_bits.h"

#include <gtest/gtest.h>

namespace omni {
namespace {

TEST(FloatBits, EveryFiniteSmallFloatSurvivesARoundTrip) {
  for (int bits = 0; bits < 256; ++bits) {
    const auto b = static_cast<uint8_t>(bits);
    if ((b & 0x7f) != 0x7f) {
      EXPECT_EQ(f32_to_f8e4m3(f8e4m3_to_f32(b)), b) << bits;
    }
    if ((b & 0x7c) != 0x7c) {
      EXPECT_EQ(f32_to_f8e5m2(f8e5m2_to_f32(b)), b) << bits;
    }
  }
  for (uint8_t nibble = 0; nibble < 16; ++nibble) EXPECT_EQ(f32_to_f4e2m1(f4e2m1_to_f32(nibble)), nibble);
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) EXPECT_EQ(f32_to_f16(f16_to_f32(static_cast<uint16_t>(bits))), bits);
}

TEST(FloatBits, RoundsHalfToEvenAndSaturates) {
  EXPECT_EQ(f8e4m3_to_f32(f32_to_f8e4m3(17.0f)), 16.0f);  // between 16 and 18
  EXPECT_EQ(f8e4m3_to_f32(f32_to_f8e4m3(19.0f)), 20.0f);  // between 18 and 20
  EXPECT_EQ(f8e4m3_to_f32(f32_to_f8e4m3(1e9f)), 448.0f);
  EXPECT_EQ(f8e4m3_to_f32(f32_to_f8e4m3(std::ldexp(1.0f, -10))), 0.0f);  // half of the smallest subnormal
  EXPECT_EQ(f4e2m1_to_f32(f32_to_f4e2m1(2.5f)), 2.0f);
  EXPECT_EQ(f4e2m1_to_f32(f32_to_f4e2m1(-100.0f)), -6.0f);
  EXPECT_EQ(bf16_to_f32(f32_to_bf16(1.00390625f)), 1.0f);
}

}  // namespace
}  // namespace omni
