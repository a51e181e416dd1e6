#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "quant/codec.h"
#include "quant/codec_fit.h"
#include "quant/config.h"
#include "quant/rotation.h"
#include "support/support.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

template <class Grid>
uint8_t code_of(const Grid& grid, float t) {
  uint8_t code = 0;
  write_codes(grid, {&t, 1}, 1, 0, &code);
  return code;
}

using omni::testing::random_tensor;

template <class T>
Tensor tensor_of(DType dtype, Shape shape, const std::vector<T>& stored) {
  Tensor out(dtype, shape);
  EXPECT_EQ(static_cast<size_t>(out.bytes()), stored.size() * sizeof(T));
  std::memcpy(out.raw(), stored.data(), stored.size() * sizeof(T));
  return out;
}

// int8 codes with a scale a channel or a group.
Weight int8_weight(const char* scheme, Shape shape, const std::vector<int8_t>& codes,
                   const std::vector<float>& scales) {
  Weight out;
  out.scheme = *parse_scheme(scheme);
  out.rows = shape[0];
  out.cols = shape[1];
  out.codes = tensor_of(DType::kI8, shape, codes);
  out.scales = tensor_of(DType::kF32, {shape[0], static_cast<int64_t>(scales.size()) / shape[0]}, scales);
  return out;
}

void expect_values(const Weight& weight, const std::vector<float>& want) {
  const Tensor got = decode(weight);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got.f32()[i], want[i]) << weight.scheme.text() << " at " << i;
}

TEST(CodecExotic, OrderSaysWhichGroupScalesAColumn) {
  Weight w = int8_weight("int8/g2/f32/ordered", {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}, {10, 100, 1, 2});
  w.order = tensor_of<int32_t>(DType::kI32, {4}, {1, 0, 0, 1});
  expect_values(w, {100, 20, 30, 400, 10, 6, 7, 16});
  w.scheme = *parse_scheme("u8/g2/f32/asym/ordered");
  w.codes = tensor_of<uint8_t>(DType::kU8, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  w.zeros = tensor_of<float>(DType::kF32, {2, 2}, {2, 1, 0, 8});
  expect_values(w, {0, 0, 10, 300, -6, 6, 7, 0});
}

TEST(CodecExotic, SmoothMultipliesColumns) {
  Weight w = int8_weight("int8/channel/smooth", {2, 2}, {1, 2, 3, 4}, {1, 10});
  w.smooth = tensor_of<float>(DType::kF32, {2}, {0.5f, 3});
  expect_values(w, {0.5f, 6, 15, 120});
}

TEST(CodecExotic, LowRankIsAddedLast) {
  Weight w = int8_weight("int8/channel/rank2/smooth", {2, 2}, {1, 2, 3, 4}, {1, 10});
  w.smooth = tensor_of<float>(DType::kF32, {2}, {2, 1});
  w.low_rank_down = tensor_of<float>(DType::kF32, {2, 2}, {1, 2, 3, 4});
  w.low_rank_up = tensor_of<uint16_t>(DType::kBF16, {2, 2}, {f32_to_bf16(1), f32_to_bf16(0.5f), 0, f32_to_bf16(-1)});
  expect_values(w, {2 + 2.5f, 2 + 4, 60 - 3, 40 - 4});
}

TEST(CodecExotic, RotationIsTheRegularHadamardMatrixOfEachBlock) {
  Weight w = int8_weight("int8/channel/rot4", {1, 8}, {2, 0, 0, 0, 1, 2, 3, 4}, {1});
  expect_values(w, {1, 1, 1, -1, 1, 2, 3, 4});  // 5 - (4, 3, 2, 1)
}

// H by its definition, entry by entry: the Kronecker power has at (i, j) the product over base-4 digits.
TEST(CodecExotic, RotationsOfManySizesMatchTheKroneckerPower) {
  for (const int size : {4, 16, 64, 256}) {
    const Tensor x = random_tensor(Shape{1, 2 * size}, 3);
    std::vector<float> got(x.f32(), x.f32() + 2 * size);
    rotate_blocks(got, size);
    for (int col = 0; col < 2 * size; ++col) {
      double want = 0;
      for (int i = 0; i < size; ++i) {
        double entry = 1 / std::sqrt(static_cast<double>(size));
        for (int a = i, b = col % size, left = size; left > 1; left /= 4, a /= 4, b /= 4)
          if (a % 4 + b % 4 == 3) entry = -entry;
        want += entry * x.f32()[col / size * size + i];
      }
      EXPECT_NEAR(got[static_cast<size_t>(col)], want, 1e-5) << size << " at " << col;
    }
    rotate_blocks(got, size);
    for (int i = 0; i < 2 * size; ++i) EXPECT_NEAR(got[static_cast<size_t>(i)], x.f32()[i], 1e-5) << "rotated back";
  }
  EXPECT_TRUE(is_rotation_size(4) && is_rotation_size(256));
  for (const int size : {0, 1, 2, 8, 12, 128}) EXPECT_FALSE(is_rotation_size(size)) << size;
}

TEST(CodecExotic, RotationComesBeforeSmooth) {
  Weight w = int8_weight("int8/channel/rot4/smooth", {1, 4}, {2, 0, 0, 0}, {1});
  w.smooth = tensor_of<float>(DType::kF32, {4}, {1, 2, 3, 4});
  expect_values(w, {1, 2, 3, -4});
}

TEST(CodecTables, CodesOfFourBitTablesAreTheNearestValues) {
  const auto check = [](const auto& grid, std::span<const float> values) {
    for (int i = -1400; i <= 1400; ++i) {
      const float t = static_cast<float>(i) / (values[0] == 0 ? 1000.0f : 10.0f);
      float best = values[0];
      for (const float value : values) best = std::fabs(value - t) < std::fabs(best - t) ? value : best;
      const float got = values[code_of(grid, t)];
      EXPECT_FLOAT_EQ(std::fabs(got - t), std::fabs(best - t)) << t;
      const FitSums sums = fit_sums(grid, {&t, 1}, 1, 0);
      EXPECT_EQ(sums.q, got) << t;
    }
    for (size_t code = 0; code < 16; ++code) EXPECT_EQ(values[code_of(grid, values[code])], values[code]) << code;
  };
  check(FP4BNBGrid{}, kFP4BNBValues);
  check(IQ4Grid{}, kIQ4Values);
}

TEST(CodecTables, ErrorsOfTablesAndNarrowIntegersAreThoseOfTheirBits) {
  const Tensor x = random_tensor(Shape{64, 512}, 3, 0.02f);
  const struct {
    const char* scheme;
    double low, high;
  } cases[] = {{"fp4bnb/g64/f32", 0.08, 0.15}, {"nf4/g64/f32", 0.06, 0.1},     {"iq4/g32", 0.05, 0.095},
               {"i2/g32", 0.3, 0.55},          {"i3/g64", 0.15, 0.25},         {"u2/g32/asym", 0.25, 0.55},
               {"u3/g64/asym", 0.1, 0.25},     {"u3/g64/min", 0.1, 0.25},      {"u2/g32/min", 0.25, 0.45},
               {"int8/g32", 0.001, 0.008},     {"int8/g32/asym", 0.001, 0.008}};
  for (const auto& c : cases) {
    const auto scheme = parse_scheme(c.scheme);
    ASSERT_TRUE(scheme) << c.scheme;
    const Weight w = encode(x, *scheme, "w", nullptr);
    const double error = relative_error(x, w);
    EXPECT_GT(error, c.low) << c.scheme;
    EXPECT_LT(error, c.high) << c.scheme;
    const double again = relative_error(decode(w), encode(decode(w), *scheme, "w", nullptr));
    EXPECT_LT(again, error * 0.75) << c.scheme << ": encoding decoded values again";
  }
}

TEST(CodecTables, BitsandbytesFp4IsItsOwnTable) {
  const QuantConfig config = parse_quant_config(R"({"method": "bitsandbytes", "quant_type": "fp4"})");
  ASSERT_EQ(config.rules.size(), 1u);
  EXPECT_EQ(config.rules[0].scheme.text(), "fp4bnb/g64");
}

}  // namespace
}  // namespace omni
