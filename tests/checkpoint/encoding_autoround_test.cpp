#include <gtest/gtest.h>

#include "small_checkpoint.h"

namespace omni {
namespace {

using namespace omni::testing;

TEST(AutoroundEncoding, RecordedCheckpointsDecodeBitForBit) {
  expect_golden("autoround-gptq-g128", "int4", "inc");
  expect_golden("autoround-awq-g128", "int4", "inc");
}

TEST(AutoroundEncoding, ItsOwnPackingStoresZeroPointsAsTheyAre) {
  SmallCheckpoint small = SmallCheckpoint::load("autoround-gptq-g128");
  small.edit("auto_round:auto_gptq", "auto_round");
  EXPECT_NE(refusal(small).find("holds the zero point 7"), std::string::npos) << refusal(small);
  small.edit("\"sym\": true", "\"sym\": false");
  const Weight weight = OpenedCheckpoint(small).read();
  EXPECT_EQ(weight.scheme.text(), "int4/g128/asym");
  EXPECT_EQ(weight.zeros.f32()[0], 7);
}

TEST(AutoroundEncoding, LayersHaveNumbersOfTheirOwnByNameOrExpression) {
  SmallCheckpoint small = SmallCheckpoint::load("autoround-gptq-g128");
  small.tensors.push_back({"model.layers.0.mlp.up_proj.weight", random_tensor(Shape{4, 8}, 1)});
  small.tensors.push_back({"model.layers.0.mlp.gate_proj.weight", random_tensor(Shape{4, 8}, 1)});
  EXPECT_NE(refusal(small).find("is a float weight"), std::string::npos);
  small.edit("\"bits\"", R"("extra_config": {"model.layers.0.mlp.up_proj": {"bits": 16, "group_size": null},
    ".*gate_proj.*": {"bits": 16, "data_type": "float"}}, "bits")");
  EXPECT_EQ(refusal(small), "");
  small.edit(".*gate_proj.*", ".*down_proj.*");
  EXPECT_NE(refusal(small).find("extra_config leaves"), std::string::npos) << refusal(small);
}

TEST(AutoroundEncoding, TheFileBesideServesAsConfig) {
  SmallCheckpoint small = SmallCheckpoint::load("autoround-awq-g128");
  small.file = "quantization_config.json";
  small.config = R"({"bits": 4, "group_size": 128, "sym": true, "quant_method": "auto-round",
                     "packing_format": "auto_round:auto_awq"})";
  EXPECT_EQ(OpenedCheckpoint(small).read().scheme.text(), "int4");
}

TEST(AutoroundEncoding, Mxfp4LiesAsCompressedTensors) {
  SmallCheckpoint small;
  Tensor codes(DType::kU8, Shape{2, 32}), scales(DType::kU8, Shape{2, 2});
  std::fill_n(codes.data<uint8_t>(), 64, uint8_t{0x42});  // 1 and 2
  std::fill_n(scales.data<uint8_t>(), 4, uint8_t{128});   // 2
  small.tensors = {{"m.layers.0.q_proj.weight_packed", codes},
                   {"m.layers.0.q_proj.weight_scale", scales},
                   {"m.layers.0.up_proj.weight", random_tensor(Shape{2, 2}, 1)}};
  small.config =
      R"({"quantization_config": {"quant_method": "auto-round", "packing_format": "auto_round:llm_compressor",
    "bits": 4, "group_size": 32, "sym": true, "data_type": "mx_fp", "extra_config": {".*up_proj.*": {"bits": 16}}}})";
  const OpenedCheckpoint opened(small);
  EXPECT_EQ(opened.read("m.layers.0.q_proj").scheme.codes, DType::kF4E2M1);
  const Tensor got = decode(opened.read("m.layers.0.q_proj"));
  EXPECT_EQ(got.f32()[0], 2);
  EXPECT_EQ(got.f32()[1], 4);
  small.edit("mx_fp", "mx_int");
  EXPECT_NE(refusal(small).find("mx_int"), std::string::npos) << refusal(small);
}

TEST(AutoroundEncoding, DamageIsNamed) {
  expect_refusals(
      SmallCheckpoint::load("autoround-gptq-g128"),
      {
          {"7 bits", [](SmallCheckpoint& c) { c.edit("\"bits\": 4", "\"bits\": 7"); }, {"bits is 7"}},
          {"the tensors of another type", [](SmallCheckpoint& c) { c.edit("\"int\"", "\"mx_fp\""); }, {"weight"}},
          {"another packing", [](SmallCheckpoint& c) { c.edit("auto_gptq", "mlx"); }, {"packing_format", "mlx"}},
          {"compressed-tensors without its config",
           [](SmallCheckpoint& c) { c.edit("auto_gptq", "llm_compressor"); },
           {"data_type", "config_groups"}},
          {"no zero points", [](SmallCheckpoint& c) { c.drop(".qzeros"); }, {"down_proj.qzeros", "no such tensor"}},
          {"an infinity", [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[1] = 0xfc00; }, {"-Inf at [0, 1]"}},
          {"a zero scale", [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[1] = 0; }, {"0 at [0, 1]"}},
          {"a rule that is no object",
           [](SmallCheckpoint& c) { c.edit("\"bits\"", R"("extra_config": {"a": 3}, "bits")"); },
           {"extra_config: a"}},
          {"bits in words",
           [](SmallCheckpoint& c) { c.edit("\"bits\"", R"("extra_config": {"a": {"bits": "x"}}, "bits")"); },
           {"extra_config: a: bits", "an integer"}},
      });
}

}  // namespace
}  // namespace omni
