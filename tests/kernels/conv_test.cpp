#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"
#include "support/support.h"

namespace omni {
namespace {

using testing::compare;
using testing::random_tensor;

struct ConvCase {
  int64_t height, width, inputs, outputs;
  int kernel, stride;
  int upsample = 1;
  Shape output() const { return Shape{height * upsample / stride, width * upsample / stride, outputs}; }
  std::string text() const {
    return std::to_string(height) + "x" + std::to_string(width) + " c_in " + std::to_string(inputs) + " c_out " +
           std::to_string(outputs) + " kernel " + std::to_string(kernel) + " stride " + std::to_string(stride) +
           " upsample " + std::to_string(upsample);
  }
};

// [h, w, c] random values inside a border of zeros.
Tensor padded_image(const ConvCase& c, DType dtype) {
  const int64_t channels = padded_channels(c.inputs);
  const Tensor values = random_tensor(Shape{c.height * c.width, c.inputs}, 21);
  Tensor out(DType::kF32, Shape{c.height + 2, c.width + 2, channels});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  for (int64_t y = 0; y < c.height; ++y) {
    for (int64_t x = 0; x < c.width; ++x) {
      std::memcpy(out.f32() + ((y + 1) * (c.width + 2) + x + 1) * channels, values.f32() + (y * c.width + x) * c.inputs,
                  static_cast<size_t>(c.inputs) * 4);
    }
  }
  return cast(out, dtype);
}

// Random weights that are exact in bf16, as are sums of four of them: both sides multiply the same numbers.
Tensor exact_weights(const ConvCase& c) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.inputs * c.kernel * c.kernel));
  Tensor out = random_tensor(Shape{c.outputs, c.inputs, c.kernel, c.kernel}, 22, scale);
  if (c.upsample == 1) return to_f32(cast(out, DType::kBF16));
  const float unit = std::exp2(std::floor(std::log2(scale))) / 16;
  for (int64_t i = 0; i < out.shape().count(); ++i) {
    out.f32()[i] = unit * std::round(std::fmin(std::fmax(out.f32()[i] / unit, -64.0f), 64.0f));
  }
  return out;
}

class Conv : public ::testing::TestWithParam<DType> {
 protected:
  Conv() { exec_.pool = &pool_; }

  std::pair<Weight, Weight> packed_weights(const ConvCase& c, const Tensor& weights) {
    if (c.upsample == 2)
      return {cpu::pack_upsample_conv(exec_, weights), reference::pack_upsample_conv(exec_, weights)};
    Weight packed = cpu::pack_conv(exec_, weights);
    EXPECT_EQ(packed.rows, c.outputs);
    EXPECT_EQ(packed.cols, c.kernel * c.kernel * padded_channels(c.inputs));
    return {std::move(packed), reference::pack_conv(exec_, weights)};
  }

  void check(const ConvCase& c) {
    exec_.compute = GetParam();
    const Tensor weights = exact_weights(c);
    const Tensor bias = random_tensor(Shape{c.outputs}, 23);
    const Tensor image = padded_image(c, GetParam());
    const Shape shape = c.output();
    const Tensor residual = random_tensor(shape, 24);
    for (const int mode : {0, 1, 2}) {  // bare, bias and residual, residual in the output itself
      Tensor got = random_tensor(shape, 24), want(DType::kF32, shape);
      ConvArgs args{.image = &image,
                    .bias = mode > 0 ? bias.f32() : nullptr,
                    .kernel = c.kernel,
                    .stride = c.stride,
                    .upsample = c.upsample};
      const auto [packed, plain] = packed_weights(c, weights);
      args.weight = &packed;
      args.out = &got;
      args.residual = mode == 0 ? nullptr : mode == 1 ? &residual : &got;
      cpu::conv(exec_, args);
      args.weight = &plain;
      args.out = &want;
      args.residual = mode == 0 ? nullptr : &residual;
      reference::conv(exec_, args);
      const auto difference = compare(got, want);
      // f32 sums of up to 9 * 128 products of size 1 / sqrt(count): about sqrt(count) * 2^-24, over a range of 6.
      EXPECT_LE(difference.over_range, 2e-6) << c.text() << " mode " << mode << ": " << difference.text();
    }
  }

  ThreadPool pool_;
  Exec exec_;
};

TEST_P(Conv, ThreeByThreeAgreesWithTheReference) {
  for (const int64_t inputs : {3, 16, 32, 128}) {
    check({16, 16, inputs, 32, 3, 1});
    check({7, 13, inputs, 3, 3, 1});
    check({1, 1, inputs, 40, 3, 1});
  }
  check({5, 29, 600, 33, 3, 1});
}

TEST_P(Conv, OneByOneReadsTheInteriorOnly) {
  for (const int64_t inputs : {3, 16, 32, 128}) {
    check({8, 8, inputs, 64, 1, 1});
    check({5, 9, inputs, 7, 1, 1});
  }
}

TEST_P(Conv, StrideTwoPadsRightAndBottomOnly) {
  for (const int64_t inputs : {3, 16, 32, 128}) {
    check({16, 16, inputs, 32, 3, 2});
    check({2, 26, inputs, 5, 3, 2});
    check({7, 9, inputs, 16, 3, 2});
  }
}

TEST_P(Conv, UpsampleRepeatsPixelsFirst) {
  for (const int64_t inputs : {3, 16, 32, 128}) {
    check({8, 8, inputs, 32, 3, 1, 2});
    check({7, 13, inputs, 64, 3, 1, 2});
    check({1, 1, inputs, 40, 3, 1, 2});
    check({2, 29, inputs, 3, 3, 1, 2});
  }
}

INSTANTIATE_TEST_SUITE_P(Compute, Conv, ::testing::Values(DType::kBF16, DType::kF32),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

TEST(ConvReference, ComputesAHandMadeExample) {
  ThreadPool pool(1);
  Exec exec;
  exec.pool = &pool;
  exec.compute = DType::kF32;
  Tensor image(DType::kF32, Shape{4, 4, 4});  // interior 2 x 2: 1 2 / 3 4 in channel 0
  std::memset(image.raw(), 0, static_cast<size_t>(image.bytes()));
  for (int i = 0; i < 4; ++i) image.f32()[((1 + i / 2) * 4 + 1 + i % 2) * 4] = static_cast<float>(i + 1);
  Tensor weights(DType::kF32, Shape{1, 1, 3, 3});
  for (int i = 0; i < 9; ++i) weights.f32()[i] = static_cast<float>(i + 1);
  const Weight packed = reference::pack_conv(exec, weights);
  Tensor out(DType::kF32, Shape{2, 2, 1});
  reference::conv(exec, {.image = &image, .weight = &packed, .kernel = 3, .stride = 1, .out = &out});
  // Output (0, 0): taps 5 6 8 9 on 1 2 3 4.
  EXPECT_EQ(out.f32()[0], 5 + 12 + 24 + 36);
  EXPECT_EQ(out.f32()[3], 1 + 4 + 12 + 20);
  Tensor half(DType::kF32, Shape{1, 1, 1});
  reference::conv(exec, {.image = &image, .weight = &packed, .kernel = 3, .stride = 2, .out = &half});
  EXPECT_EQ(half.f32()[0], 1 + 4 + 12 + 20);  // tap (0, 0) on pixel (0, 0)
  Tensor twice(DType::kF32, Shape{4, 4, 1});
  reference::conv(exec, {.image = &image, .weight = &packed, .upsample = 2, .out = &twice});
  // The repeated image is 1 1 2 2 / 1 1 2 2 / 3 3 4 4 / 3 3 4 4.
  EXPECT_EQ(twice.f32()[0], 5 + 6 + 8 + 9);
  EXPECT_EQ(twice.f32()[5], 1 + 2 + 2 * 3 + 4 + 5 + 2 * 6 + 3 * (7 + 8) + 4 * 9);
  EXPECT_EQ(twice.f32()[15], 4 * (1 + 2 + 4 + 5));
}

}  // namespace
}  // namespace omni
