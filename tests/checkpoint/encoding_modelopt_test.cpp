#include "checkpoint/encoding_modelopt.h"

#include <fstream>

#include "checkpoint/stored_fixture.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using nlohmann::json;
using testing::expect_golden;
using testing::expect_refused;
using testing::expect_same_weight;
using testing::message_of;
using testing::OpenFixture;
using testing::random_tensor;
using testing::StoredFixture;

const std::string kKey = "model.layers.0.self_attn.k_proj";

Weight encoded(const char* scheme, int64_t rows, int64_t cols) {
  return encode(random_tensor(Shape{rows, cols}, 1), *parse_scheme(scheme), "test", nullptr);
}

Tensor retyped(const Tensor& tensor, DType dtype, Shape shape) {
  Tensor out(dtype, shape);
  std::memcpy(out.raw(), tensor.raw(), static_cast<size_t>(out.bytes()));
  return out;
}

Tensor single(float value) {
  Tensor out(DType::kF32, Shape{});
  *out.f32() = value;
  return out;
}

void add_fp8(StoredFixture& f, const std::string& name, const Weight& weight) {
  f.tensors[name + ".weight"] = weight.codes;
  f.tensors[name + ".weight_scale"] = weight.scales.reshaped(weight.scales.rows() == 1 ? Shape{} : Shape{weight.rows});
}

void add_nvfp4(StoredFixture& f, const std::string& name, const Weight& weight) {
  f.tensors[name + ".weight"] = retyped(weight.codes, DType::kU8, Shape{weight.rows, weight.cols / 2});
  f.tensors[name + ".weight_scale"] = weight.scales;
  f.tensors[name + ".weight_scale_2"] = weight.outer_scales.reshaped(Shape{});
}

json of_algorithm(const char* name) {
  return {{"quant_method", "modelopt"}, {"quant_algo", name}};
}

TEST(ModelOpt, RecordedFixturesDecodeBitForBit) {
  expect_golden("modelopt-fp8-kv");
  expect_golden("modelopt-nvfp4-kv");
}

TEST(ModelOpt, TheFileBesideTheConfigMeansTheSame) {
  for (const char* name : {"modelopt-fp8-kv", "modelopt-nvfp4-kv"}) {
    StoredFixture f = StoredFixture::load(name);
    const OpenFixture inline_config(f);
    std::ifstream text(testing::golden(std::string("checkpoints/") + name) / "hf_quant_config.json");
    f.config = json::parse(text);
    const OpenFixture beside(f);
    EXPECT_EQ(beside.check(), 1);
    EXPECT_EQ(beside.stored().method(), inline_config.stored().method());
    expect_same_weight(beside.stored().read(kKey), inline_config.stored().read(kKey));
    f.config.erase("producer");  // older exports
    EXPECT_EQ(OpenFixture(f).check(), 1);
  }
}

TEST(ModelOpt, MethodsSchemesAndKvScales) {
  const StoredFixture fp8 = StoredFixture::load("modelopt-fp8-kv");
  const OpenFixture a(fp8), b(StoredFixture::load("modelopt-nvfp4-kv"));
  EXPECT_EQ(a.stored().method(), "modelopt");
  EXPECT_EQ(b.stored().method(), "modelopt_fp4");
  EXPECT_EQ(a.stored().describe(kKey)->scheme.text(), "fp8/tensor/static");
  EXPECT_EQ(b.stored().describe(kKey)->scheme.text(), "nvfp4");
  EXPECT_EQ(a.stored().kv_scales("model.layers.0.self_attn")->k, *fp8.tensors.at(kKey + ".k_scale").f32());
  StoredFixture other = fp8;  // the place newer models keep them in
  for (const char* which : {"k", "v"}) {
    const std::string scale = std::string(which) + "_scale";
    other.tensors["model.layers.0.self_attn." + scale] = single(0.5F);
    other.tensors.erase("model.layers.0.self_attn." + std::string(which) + "_proj." + scale);
  }
  EXPECT_EQ(OpenFixture(other).stored().kv_scales("model.layers.0.self_attn")->v, 0.5F);
}

TEST(ModelOpt, PerChannelBlocksAndMx) {
  StoredFixture f;
  f.config = of_algorithm("FP8_PER_CHANNEL_PER_TOKEN");
  const Weight channel = encoded("fp8", 6, 64);
  add_fp8(f, "a", channel);
  expect_same_weight(OpenFixture(f).stored().read("a"), channel);
  const Weight block = encoded("fp8/32x32", 64, 96);
  StoredFixture g;
  g.config = {{"quantization", {{"quant_algo", "fp8_pb_wo"}, {"group_size", 32}}},
              {"producer", {{"name", "modelopt"}}}};
  g.tensors["a.weight"] = block.codes;
  g.tensors["a.weight_scale"] = block.scales.reshaped(Shape{2, 1, 3, 1});
  expect_same_weight(OpenFixture(g).stored().read("a"), block);
  const Weight mx = encoded("mxfp8", 6, 64);
  StoredFixture h;
  h.config = of_algorithm("MXFP8");
  h.tensors["a.weight"] = mx.codes;
  h.tensors["a.weight_scale"] = retyped(mx.scales, DType::kU8, Shape{6, 2});
  const OpenFixture fixture(h);
  EXPECT_EQ(fixture.stored().method(), "modelopt_mxfp8");
  EXPECT_EQ(fixture.check(), 1);
  expect_same_weight(fixture.stored().read("a"), mx);
}

TEST(ModelOpt, IntegersWithSmoothedInputs) {
  StoredFixture f;
  f.config = of_algorithm("W8A8_SQ_PER_CHANNEL");
  const Weight want = encoded("int8_weight_only", 6, 8);
  add_fp8(f, "a", want);
  f.tensors["a.input_scale"] = single(0.5F);
  f.tensors["a.pre_quant_scale"] = cast(random_tensor(Shape{8}, 1), DType::kBF16);
  for (int64_t i = 0; i < 8; ++i) f.set<uint16_t>("a.pre_quant_scale", i, 0x3f00);
  const OpenFixture fixture(f);
  EXPECT_EQ(fixture.check(), 1);
  const Weight got = fixture.stored().read("a");
  EXPECT_TRUE(got.scheme.smooth && got.scheme.act == ActQuant::kStatic && got.scheme.act_codes == DType::kI8);
  for (int64_t i = 0; i < 48; ++i)
    EXPECT_EQ(decode(got).f32()[i], 0.5F * decode(want).f32()[i]) << "W = values * diag(smooth)";
}

TEST(ModelOpt, FactorsOfTheInputBecomeSmooth) {
  StoredFixture f;
  f.config = of_algorithm("NVFP4_AWQ");
  const Weight want = encoded("nvfp4", 6, 64);
  add_nvfp4(f, "a", want);
  Tensor factors(DType::kF32, Shape{64});
  for (int64_t i = 0; i < 64; ++i) factors.f32()[i] = 0.5F + static_cast<float>(i) / 64;
  f.tensors["a.pre_quant_scale"] = cast(factors, DType::kBF16);
  const OpenFixture fixture(f);
  EXPECT_EQ(fixture.check(), 1);
  EXPECT_TRUE(fixture.stored().describe("a")->scheme.smooth);
  const Weight got = fixture.stored().read("a");
  ASSERT_EQ(got.smooth.shape(), Shape{64});
  for (int64_t i = 0; i < 64; ++i)
    EXPECT_EQ(got.smooth.f32()[i], bf16_to_f32(f.tensors.at("a.pre_quant_scale").data<uint16_t>()[i]));
  expect_refused(
      f,
      {{"short", [](auto& g) { g.reshape("a.pre_quant_scale", Shape{32}); }, {"pre_quant_scale", "[32]"}},
       {"NaN", [](auto& g) { g.template set<uint16_t>("a.pre_quant_scale", 5, 0x7fc0); }, {"pre_quant_scale", "NaN"}}});
}

TEST(ModelOpt, MixedPrecisionIsByLayerInEitherSpelling) {
  const Weight fp8 = encoded("fp8/tensor", 6, 64), fp4 = encoded("nvfp4", 6, 64);
  StoredFixture f;
  add_fp8(f, "model.a", fp8);
  f.tensors["model.a.input_scale"] = single(0.5F);
  add_nvfp4(f, "model.b", fp4);
  f.tensors["model.c.weight"] = cast(random_tensor(Shape{2, 2}, 1), DType::kBF16);
  f.config = {{"quantization",
               {{"quant_algo", "MIXED_PRECISION"},
                {"quantized_layers",
                 {{"model.a", {{"quant_algo", "FP8"}}}, {"model.b", {{"quant_algo", "NVFP4"}, {"group_size", 16}}}}}}}};
  StoredFixture groups = f;
  groups.config = of_algorithm("MIXED_PRECISION");
  groups.config["config_groups"] = {
      {"group_0", {{"targets", {"model.a"}}, {"weights", {{"num_bits", 8}, {"type", "float"}}}}},
      {"group_1",
       {{"targets", {"model.b"}},
        {"input_activations", json::object()},
        {"weights", {{"num_bits", 4}, {"type", "float"}, {"group_size", 16}}}}}};
  for (const StoredFixture& spelling : {f, groups}) {
    const OpenFixture fixture(spelling);
    EXPECT_EQ(fixture.stored().method(), "modelopt_mixed");
    EXPECT_EQ(fixture.check(), 2);
    EXPECT_EQ(fixture.stored().read("model.a").scheme.text(), "fp8/tensor/static");
    expect_same_weight(fixture.stored().read("model.b"), fp4);
    EXPECT_FALSE(fixture.stored().describe("model.c")->scheme.quantized());
  }
  f.tensors["model.c.weight_scale"] = single(1);
  EXPECT_NE(message_of(f).find("model.c.weight_scale: belongs to no quantized weight"), std::string::npos);
}

TEST(ModelOpt, ExcludedModulesAreWildcards) {
  StoredFixture f = StoredFixture::load("modelopt-fp8-kv");
  for (const char* name : {"lm_head", "thinker.lm_head", "talker.model.layers.0.mlp.up_proj", "model.layers.1.mlp.up"})
    f.tensors[std::string(name) + ".weight"] = cast(random_tensor(Shape{2, 4}, 1), DType::kBF16);
  f.config["ignore"] = {"lm_head", "talker*"};
  EXPECT_NE(message_of(f).find("model.layers.1.mlp.up.weight: is a bf16 weight"), std::string::npos) << message_of(f);
  f.config["ignore"] = {"lm_head", "talker*", "model.layers.1*"};
  EXPECT_EQ(message_of(f), "");
  f.config["ignore"] = {"lm_head", "talker*", "model.layers.1*", "model.layers.0*"};
  EXPECT_NE(message_of(f).find("leaves the layer in float"), std::string::npos) << message_of(f);
}

TEST(ModelOpt, AlgorithmsThatAreNotReadAreRefusedByName) {
  StoredFixture f = StoredFixture::load("modelopt-fp8-kv");
  for (const char* name : {"W4A8_AWQ", "W4A8_MXFP4_FP8", "NVFP4_SVD", "FP9"}) {
    f.config["quant_algo"] = name;
    const std::string message = message_of(f);
    EXPECT_NE(message.find("quant_algo: is '" + std::string(name) + "'"), std::string::npos) << message;
    EXPECT_NE(message.find("NVFP4_AWQ"), std::string::npos) << message;
  }
  f.config = {{"quantization",
               {{"quant_algo", "MIXED_PRECISION"}, {"quantized_layers", {{kKey, {{"quant_algo", "W4A8_AWQ"}}}}}}}};
  EXPECT_NE(message_of(f).find("W4A8_AWQ"), std::string::npos) << message_of(f);
}

TEST(ModelOpt, DamagedFp8IsRefused) {
  const std::string scale = kKey + ".weight_scale", codes = kKey + ".weight", input = kKey + ".input_scale";
  expect_refused(
      StoredFixture::load("modelopt-fp8-kv"),
      {{"no scale", [&](auto& f) { f.tensors.erase(scale); }, {scale, "no such tensor", "FP8"}},
       {"a scale a row", [&](auto& f) { f.reshape(scale, Shape{8}); }, {scale, "[8]", "[1, 1]"}},
       {"NaN", [&](auto& f) { f.template set<uint32_t>(scale, 0, 0x7fc00000); }, {scale, "NaN"}},
       {"negative", [&](auto& f) { f.template set<float>(scale, 0, -0.5F); }, {scale, "-0.5"}},
       {"zero", [&](auto& f) { f.template set<float>(scale, 0, 0); }, {scale, "holds 0"}},
       {"NaN code", [&](auto& f) { f.template set<uint8_t>(codes, 64 * 3 + 17, 0x7f); }, {codes, "0x7f", "[3, 17]"}},
       {"no input scale", [&](auto& f) { f.tensors.erase(input); }, {input, "no such tensor"}},
       {"a negative input scale", [&](auto& f) { f.template set<float>(input, 0, -1); }, {input, "is -1"}},
       {"a negative key", [](auto& f) { f.template set<float>(kKey + ".k_scale", 0, -0.5F); }, {"k_scale", "-0.5"}},
       {"a zero key", [](auto& f) { f.template set<float>(kKey + ".k_scale", 0, 0); }, {"k_scale", "finite"}},
       {"keys alone", [](auto& f) { f.tensors.erase("model.layers.0.self_attn.v_proj.v_scale"); }, {"k_scale"}},
       {"a layer without KV scales",
        [&](auto& f) {
          for (const char* part : {"weight", "weight_scale", "input_scale"})
            f.tensors["model.layers.1.self_attn.k_proj." + std::string(part)] =
                f.tensors.at(kKey + "." + std::string(part));
        },
        {"model.layers.1.self_attn.k_scale", "no such tensor"}},
       {"a list", [](auto& f) { f.config["ignore"] = "lm_head"; }, {"ignore"}},
       {"algorithm", [](auto& f) { f.config["quant_algo"] = 8; }, {"quant_algo"}}});
}

TEST(ModelOpt, DamagedNvfp4IsRefused) {
  const std::string scale = kKey + ".weight_scale", codes = kKey + ".weight", outer = kKey + ".weight_scale_2";
  expect_refused(StoredFixture::load("modelopt-nvfp4-kv"),
                 {{"no outer scale", [&](auto& f) { f.tensors.erase(outer); }, {outer, "no such tensor", "NVFP4"}},
                  {"an outer scale of zero", [&](auto& f) { f.template set<float>(outer, 0, 0); }, {outer, "is 0"}},
                  {"an infinite one", [&](auto& f) { f.template set<uint32_t>(outer, 0, 0x7f800000); }, {outer, "Inf"}},
                  {"no scales", [&](auto& f) { f.tensors.erase(scale); }, {scale, "no such tensor"}},
                  {"half of them",
                   [&](auto& f) {
                     f.reshape(scale, Shape{8, 2});
                   },
                   {scale, "[8, 2]", "[8, 4]"}},
                  {"float scales",
                   [&](auto& f) {
                     f.tensors[scale] = Tensor(DType::kF32, Shape{8, 4});
                   },
                   {scale, "f8e4m3"}},
                  {"NaN", [&](auto& f) { f.template set<uint8_t>(scale, 6, 0x7f); }, {scale, "NaN at [1, 2]"}},
                  {"negative", [&](auto& f) { f.template set<uint8_t>(scale, 6, 0xb8); }, {scale, "-1 at [1, 2]"}},
                  {"zero", [&](auto& f) { f.template set<uint8_t>(scale, 6, 0); }, {scale, "0 at [1, 2]"}},
                  {"half of the codes",
                   [&](auto& f) {
                     f.reshape(codes, Shape{8, 16});
                   },
                   {scale, "[8, 4]", "[8, 2]"}},
                  {"codes of 8 bits",
                   [&](auto& f) {
                     f.tensors[codes] = Tensor(DType::kF8E4M3, Shape{8, 64});
                   },
                   {codes, "u8"}},
                  {"groups",
                   [](auto& f) { f.config["config_groups"]["group_0"]["weights"]["group_size"] = 0; },
                   {"group_size", "is 0"}}});
}

}  // namespace
}  // namespace omni
