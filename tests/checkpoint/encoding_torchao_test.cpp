#include <gtest/gtest.h>

#include "small_checkpoint.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using namespace omni::testing;

TEST(TorchaoEncoding, RecordedCheckpointsDecodeBitForBit) {
  expect_golden("torchao-int8", "int8_weight_only", "torchao");
  expect_golden("torchao-float8", "fp8/channel", "torchao");
}

std::string config(const std::string& type, const std::string& data = "{}") {
  return R"({"quantization_config": {"quant_method": "torchao", "quant_type": {"default": {"_type": ")" + type +
         R"(", "_data": )" + data + "}}}}";
}

TEST(TorchaoEncoding, DynamicActivationsBelongToTheScheme) {
  SmallCheckpoint small = SmallCheckpoint::load("torchao-int8");
  small.edit("Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig");
  EXPECT_EQ(OpenedCheckpoint(small).read().scheme.text(), "int8");
  small = SmallCheckpoint::load("torchao-float8");
  small.edit("Float8WeightOnlyConfig", "Float8DynamicActivationFloat8WeightConfig");
  EXPECT_EQ(OpenedCheckpoint(small).read().scheme.text(), "fp8");
}

TEST(TorchaoEncoding, PlainInt4AddsAPointToEveryGroup) {
  SmallCheckpoint small;
  Tensor codes(DType::kI8, Shape{2, 32}), scale(DType::kBF16, Shape{2, 2}), point(DType::kBF16, Shape{2, 2});
  for (int i = 0; i < 64; ++i) codes.data<uint8_t>()[i] = static_cast<uint8_t>(i * 37);
  for (int i = 0; i < 4; ++i) {
    scale.data<uint16_t>()[i] = f32_to_bf16(0.5f + static_cast<float>(i));
    point.data<uint16_t>()[i] = f32_to_bf16(0.25f - static_cast<float>(i));
  }
  small.tensors = {{"x._weight_qdata", codes}, {"x._weight_scale", scale}, {"x._weight_zero_point", point}};
  small.config = config("Int4WeightOnlyConfig", R"({"int4_packing_format": {"_type": "F", "_data": "PLAIN"}})");
  const Tensor got = decode(OpenedCheckpoint(small).read());
  for (int n = 0; n < 2; ++n) {
    for (int k = 0; k < 64; ++k) {
      int code = codes.data<uint8_t>()[n * 32 + k / 2] >> (k % 2 * 4) & 0xf;
      if (code > 7) code -= 16;
      const int at = k / 32 * 2 + n;  // [groups, rows]
      EXPECT_EQ(got.f32()[n * 64 + k],
                static_cast<float>(code) * (0.5f + static_cast<float>(at)) + 0.25f - static_cast<float>(at))
          << n << ", " << k;
    }
  }
  small.config =
      config("Int4WeightOnlyConfig", R"({"int4_packing_format": {"_type": "F", "_data": "TILE_PACKED_TO_4D"}})");
  EXPECT_NE(refusal(small).find("tile_packed"), std::string::npos) << refusal(small);
}

TEST(TorchaoEncoding, IntxHasPointsOfItsOwn) {
  SmallCheckpoint small;
  small.tensors = {{"x._weight_qdata", tensor_of<int8_t>(DType::kI8, Shape{1, 4}, {1, 2, -3, 4})},
                   {"x._weight_scale", tensor_of<float>(DType::kF32, Shape{1, 2}, {2, 10})},
                   {"x._weight_zero_point", tensor_of<int8_t>(DType::kI8, Shape{1, 2}, {1, -1})}};
  small.config = config("IntxWeightOnlyConfig");
  expect_bits(decode(OpenedCheckpoint(small).read()), tensor_of<float>(DType::kF32, Shape{1, 4}, {0, 2, -20, 50}));
}

TEST(TorchaoEncoding, DamageIsNamed) {
  expect_refusals(
      SmallCheckpoint::load("torchao-int8"),
      {
          {"another config",
           [](SmallCheckpoint& c) { c.edit("Int8WeightOnlyConfig", "AWQConfig"); },
           {"AWQConfig", "Int8WeightOnlyConfig"}},
          {"no scale", [](SmallCheckpoint& c) { c.drop("_scale"); }, {"k_proj._weight_scale", "no such tensor"}},
          {"no codes", [](SmallCheckpoint& c) { c.drop("qdata"); }, {"k_proj._weight_qdata", "no such tensor"}},
          {"half the scales",
           [](SmallCheckpoint& c) {
             c.at("_scale") = Tensor(DType::kF32, Shape{32, 1});
           },
           {"k_proj._weight_scale", "[32, 1]", "64"}},
          {"another point",
           [](SmallCheckpoint& c) { c.at("_point").data<int8_t>()[3] = 4; },
           {"_weight_zero_point", "holds 4 at 3"}},
          {"a negative scale", [](SmallCheckpoint& c) { c.at("_scale").f32()[1] = -1; }, {"_weight_scale", "-1"}},
          {"a zero scale", [](SmallCheckpoint& c) { c.at("_scale").f32()[1] = 0; }, {"_weight_scale", "holds 0"}},
          {"codes of another type",
           [](SmallCheckpoint& c) {
             c.at("qdata") = Tensor(DType::kU8, Shape{64, 64});
           },
           {"_weight_qdata", "u8"}},
      });
  expect_refusals(SmallCheckpoint::load("torchao-float8"),
                  {{"a NaN code",
                    [](SmallCheckpoint& c) { c.at("qdata").data<uint8_t>()[65] = 0x7f; },
                    {"_weight_qdata", "0x7f", "[1, 1]"}}});
}

TEST(QuantoEncoding, EightBitWeightsReadAndPackedOnesAreRefused) {
  SmallCheckpoint small;
  small.tensors = {{"x.weight._data", tensor_of<int8_t>(DType::kI8, Shape{2, 2}, {1, -2, 3, 4})},
                   {"x.weight._scale", tensor_of<float>(DType::kF32, Shape{2, 1}, {0.5f, 2})},
                   {"x.input_scale", tensor_of<float>(DType::kF32, Shape{}, {1})},
                   {"x.output_scale", tensor_of<float>(DType::kF32, Shape{}, {1})}};
  const OpenedCheckpoint opened(small);
  EXPECT_EQ(opened.stored->method(), "quanto");
  expect_bits(decode(opened.read()), tensor_of<float>(DType::kF32, Shape{2, 2}, {0.5f, -1, 6, 8}));
  expect_refusals(small,
                  {
                      {"no scale", [](SmallCheckpoint& c) { c.drop("_scale"); }, {"x.weight._scale", "no such tensor"}},
                      {"an activation's scale",
                       [](SmallCheckpoint& c) { c.at("x.input_scale").f32()[0] = 2; },
                       {"x.input_scale", "activations"}},
                      {"packed codes", [](SmallCheckpoint& c) { c.named("_data").name += "._data"; }, {"2- or 4-bit"}},
                      {"a zero scale", [](SmallCheckpoint& c) { c.at("t._scale").f32()[0] = 0; }, {"x.weight._scale"}},
                  });
}

}  // namespace
}  // namespace omni
