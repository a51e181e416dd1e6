#include <gtest/gtest.h>

#include <cmath>

#include "small_checkpoint.h"

namespace omni {
namespace {

using namespace omni::testing;

constexpr int64_t kRows = 3, kCols = 32;

// Entry (i, j) of the regular Hadamard matrix of 16: the product over base-4 digits, -1 where two add up to 3.
double hadamard16(int i, int j) {
  const double low = i % 4 + j % 4 == 3 ? -0.5 : 0.5, high = i / 4 + j / 4 == 3 ? -0.5 : 0.5;
  return low * high;
}

// W quantized as the tool does it: W H^T in groups, then int8 a row.
SmallCheckpoint pack(const Tensor& w) {
  Tensor codes(DType::kI8, Shape{kRows, kCols}), scales(DType::kF32, Shape{kRows, 1});
  for (int64_t n = 0; n < kRows; ++n) {
    std::vector<double> turned(kCols, 0);
    double largest = 0;
    for (int k = 0; k < kCols; ++k) {
      for (int i = 0; i < 16; ++i)
        turned[static_cast<size_t>(k)] += w.f32()[n * kCols + k / 16 * 16 + i] * hadamard16(k % 16, i);
      largest = std::max(largest, std::fabs(turned[static_cast<size_t>(k)]));
    }
    scales.f32()[n] = static_cast<float>(largest / 127);
    for (int64_t k = 0; k < kCols; ++k)
      codes.data<int8_t>()[n * kCols + k] =
          static_cast<int8_t>(std::lround(turned[static_cast<size_t>(k)] * 127 / largest));
  }
  SmallCheckpoint out;
  out.tensors = {
      {"x.weight", codes},
      {"x.weight_scale", scales},
      {"x.comfy_quant", text_of(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 16})")},
      {"free.weight", random_tensor(Shape{2, 2}, 3)}};
  return out;
}

TEST(ConvrotEncoding, RotatedWeightsComeBack) {
  const Tensor w = random_tensor(Shape{kRows, kCols}, 5);
  const OpenedCheckpoint opened(pack(w));
  EXPECT_EQ(opened.stored->method(), "int8_convrot");
  const Weight weight = opened.read("x");
  EXPECT_EQ(weight.scheme.text(), "int8/channel/per-token/rot16");
  const Difference worst = compare(decode(weight), w);
  EXPECT_LT(worst.over_range, 0.01) << worst.text();  // half a step of 1/127 in 16 directions
  EXPECT_FALSE(opened.read("free").scheme.quantized());
}

TEST(ConvrotEncoding, MarkersWithoutRotationAndScalesOfOtherShapesRead) {
  SmallCheckpoint small = pack(random_tensor(Shape{kRows, kCols}, 5));
  small.at("comfy_quant") = text_of(R"({"format": "int8_tensorwise"})");
  small.at("weight_scale") = tensor_of<float>(DType::kF32, Shape{kRows}, {1, 2, 3});
  EXPECT_EQ(OpenedCheckpoint(small).read("x").scheme.text(), "int8");
  small.at("weight_scale") = tensor_of<float>(DType::kF32, Shape{}, {2});
  const Weight whole = OpenedCheckpoint(small).read("x");
  EXPECT_EQ(whole.scheme.text(), "int8/tensor/per-token");
  EXPECT_EQ(decode(whole).f32()[0], 2.0f * static_cast<float>(code_at(whole, 0, 0)));
}

TEST(ConvrotEncoding, DamageIsNamed) {
  expect_refusals(
      pack(random_tensor(Shape{kRows, kCols}, 5)),
      {
          {"a marker without a weight", [](SmallCheckpoint& c) { c.drop("x.weight"); }, {"x.weight", "x.comfy_quant"}},
          {"no scale", [](SmallCheckpoint& c) { c.drop("_scale"); }, {"x.weight_scale", "no such tensor"}},
          {"a group of 8",
           [](SmallCheckpoint& c) {
             c.at("comfy_quant") = text_of(R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 8})");
           },
           {"x.comfy_quant", "groups of 8", "power of 4"}},
          {"the usual group over few columns",
           [](SmallCheckpoint& c) {
             c.at("comfy_quant") = text_of(R"({"format": "int8_tensorwise", "convrot": true})");
           },
           {"x.weight", "32 columns", "256"}},
          {"a cut marker",
           [](SmallCheckpoint& c) { c.at("comfy_quant") = text_of(R"({"format": "int8_t)"); },
           {"x.comfy_quant", "JSON"}},
          {"a mixed format",
           [](SmallCheckpoint& c) {
             c.tensors.push_back({"y.comfy_quant", text_of(R"({"format": "nvfp4"})")});
           },
           {"y.comfy_quant", "nvfp4"}},
          {"codes of another type",
           [](SmallCheckpoint& c) {
             c.at("x.weight") = random_tensor(Shape{3, 32}, 1);
           },
           {"x.weight", "f32", "i8"}},
          {"a short scale",
           [](SmallCheckpoint& c) {
             c.at("_scale") = Tensor(DType::kF32, Shape{2, 1});
           },
           {"x.weight_scale", "[2, 1]", "[3, 1]"}},
          {"a zero scale", [](SmallCheckpoint& c) { c.at("_scale").f32()[1] = 0; }, {"x.weight_scale", "holds 0"}},
          {"a negative scale", [](SmallCheckpoint& c) { c.at("_scale").f32()[1] = -1; }, {"x.weight_scale", "-1"}},
          {"a scale of nobody",
           [](SmallCheckpoint& c) {
             c.tensors.push_back({"free.weight_scale", Tensor(DType::kF32, Shape{2})});
           },
           {"free.weight_scale", "belongs to no quantized weight"}},
      });
}

}  // namespace
}  // namespace omni
