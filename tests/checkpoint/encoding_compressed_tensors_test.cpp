#include "checkpoint/encoding_compressed_tensors.h"

#include <limits>

#include "checkpoint/stored_fixture.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using nlohmann::json;
using testing::expect_golden;
using testing::expect_refused;
using testing::message_of;
using testing::OpenFixture;
using testing::StoredFixture;

constexpr uint16_t kNan = 0x7fc0, kInf = 0x7f80, kMinus = 0xbe80;  // bf16
const std::string kKey = "model.layers.0.self_attn.k_proj";
const std::string kDown = "model.layers.0.mlp.down_proj";

json& group(StoredFixture& f) {
  return f.config["config_groups"]["group_0"];
}

TEST(CompressedTensors, EveryRecordedFixtureDecodesBitForBit) {
  for (const char* name :
       {"ct-fp8-block", "ct-fp8-dynamic", "ct-fp8-static-kv", "ct-mxfp4", "ct-nvfp4", "ct-w4a16-g128", "ct-w8a8"})
    expect_golden(name);
}

TEST(CompressedTensors, EveryFormatAndWidthOfTheLibraryDecodesBitForBit) {
  expect_golden("ct-forms");
}

TEST(CompressedTensors, OlderFilesPackWholeCodesAWordAndOrderColumns) {
  expect_golden("ct-forms-0.17");
}

TEST(CompressedTensors, SchemesAreThoseOfThePresets) {
  const auto text = [](const char* name, const std::string& module) {
    const OpenFixture fixture(StoredFixture::load(name));
    EXPECT_EQ(fixture.stored().method(), "compressed-tensors");
    return fixture.stored().describe(module)->scheme.text();
  };
  EXPECT_EQ(text("ct-fp8-dynamic", kKey), "fp8");
  EXPECT_EQ(text("ct-w8a8", kKey), "int8");
  EXPECT_EQ(text("ct-mxfp4", kKey), "mxfp4");
  EXPECT_EQ(text("ct-fp8-static-kv", kKey), "fp8/tensor/static");
  EXPECT_EQ(text("ct-fp8-block", kKey), "fp8/128x128");
  EXPECT_EQ(text("ct-w4a16-g128", kDown), "int4/g128/bf16");
}

TEST(CompressedTensors, StaticInputScaleAndKvScalesAreRead) {
  const StoredFixture sound = StoredFixture::load("ct-fp8-static-kv");
  const OpenFixture fixture(sound);
  const Weight weight = fixture.stored().read(kKey);
  EXPECT_EQ(*weight.input_scale.f32(), bf16_to_f32(*sound.tensors.at(kKey + ".input_scale").data<uint16_t>()));
  const std::optional<KvScales> kv = fixture.stored().kv_scales("model.layers.0.self_attn");
  ASSERT_TRUE(kv.has_value());
  EXPECT_EQ(kv->k, bf16_to_f32(*sound.tensors.at("model.layers.0.self_attn.k_scale").data<uint16_t>()));
  EXPECT_FALSE(fixture.stored().kv_scales("model.layers.0").has_value());
}

TEST(CompressedTensors, DescribeClaimsEveryTensorAndItsBytes) {
  const OpenFixture fixture(StoredFixture::load("ct-nvfp4"));
  const StoredWeight weight = *fixture.stored().describe(kKey);
  const std::vector<std::string> claimed = {kKey + ".weight_packed", kKey + ".weight_scale",
                                            kKey + ".weight_global_scale", kKey + ".input_global_scale"};
  for (const std::string& tensor : claimed) EXPECT_EQ(std::ranges::count(weight.tensors, tensor), 1) << tensor;
  EXPECT_EQ(weight.tensors.size(), claimed.size());
  EXPECT_EQ(weight.bytes, 8 * 32 + 8 * 4 + 4 + 4);
}

TEST(CompressedTensors, OlderSpellingsOfTheConfigMeanTheSame) {
  const StoredFixture sound = StoredFixture::load("ct-fp8-dynamic");
  StoredFixture nested = sound;
  nested.config = {{"quant_method", "sparseml"}, {"quantization_config", sound.config}};
  EXPECT_EQ(OpenFixture(nested).check(), 1);
  StoredFixture global = sound;  // the format of all groups, a strategy to be guessed
  group(global).erase("format");
  group(global)["weights"]["group_size"] = -1;
  group(global)["weights"].erase("strategy");
  EXPECT_EQ(OpenFixture(global).stored().describe(kKey)->scheme.text(), "fp8");
  StoredFixture text = StoredFixture::load("ct-fp8-block");
  group(text)["weights"]["block_structure"] = "128x128";
  EXPECT_EQ(OpenFixture(text).check(), 1);
}

TEST(CompressedTensors, IgnoredLayersAreThoseOfTheListWhateverThePrefix) {
  StoredFixture f = StoredFixture::load("ct-fp8-dynamic");
  for (const char* name : {"lm_head", "thinker.lm_head", "model.embed_tokens", "language_model.model.layers.3.mlp.up",
                           "visual.blocks.0.fc1"})
    f.tensors[std::string(name) + ".weight"] = cast(testing::random_tensor(Shape{2, 4}, 1), DType::kBF16);
  EXPECT_NE(message_of(f).find("language_model.model.layers.3.mlp.up.weight: is a bf16 weight"), std::string::npos)
      << message_of(f);
  f.config["ignore"] = {"lm_head", "model.language_model.layers.3.mlp.up", "re:visual.*"};
  EXPECT_EQ(message_of(f), "");
  f.config["ignore"] = {"lm_head", "model.language_model.layers.3.mlp.up", "re:.*fc2"};
  EXPECT_NE(message_of(f).find("visual.blocks.0.fc1.weight"), std::string::npos) << message_of(f);
}

TEST(CompressedTensors, TargetsByNameGoBeforeClasses) {
  StoredFixture f = StoredFixture::load("ct-fp8-dynamic");
  json second = group(f);
  second["targets"] = {"re:.*down_proj"};
  second["weights"]["strategy"] = "tensor";
  f.config["config_groups"]["group_1"] = second;
  f.tensors[kDown + ".weight"] = f.tensors.at(kKey + ".weight");
  f.tensors[kDown + ".weight_scale"] = cast(testing::random_tensor(Shape{}, 1), DType::kBF16);
  f.set<uint16_t>(kDown + ".weight_scale", 0, 0x3c00);
  const OpenFixture fixture(f);
  EXPECT_EQ(fixture.check(), 2);
  EXPECT_EQ(fixture.stored().describe(kKey)->scheme.scale.group, (Group{1, 0}));
  EXPECT_EQ(fixture.stored().describe(kDown)->scheme.scale.group, (Group{0, 0}));
}

TEST(CompressedTensors, NegativeScalesAreReadOnlyFromAutoRound) {
  StoredFixture f = StoredFixture::load("ct-w4a16-g128");
  f.set<uint16_t>(kDown + ".weight_scale", 3, kMinus);
  EXPECT_NE(message_of(f).find("-0.25 at [1, 1]"), std::string::npos) << message_of(f);
  f.config["provider"] = "auto-round";
  EXPECT_EQ(message_of(f), "");
}

TEST(CompressedTensors, DamagedScalesAndCodesAreRefused) {
  const std::string scale = kKey + ".weight_scale", codes = kKey + ".weight";
  expect_refused(
      StoredFixture::load("ct-fp8-dynamic"),
      {{"no scale", [&](auto& f) { f.tensors.erase(scale); }, {scale, "no such tensor", "group_0"}},
       {"half of the scales",
        [&](auto& f) {
          f.reshape(scale, Shape{4, 1});
        },
        {scale, "[4, 1]", "[8, 1]"}},
       {"scales on their side",
        [&](auto& f) {
          f.reshape(scale, Shape{1, 8});
        },
        {"[1, 8]", "[8, 1]"}},
       {"a scale a group",
        [&](auto& f) {
          f.reshape(scale, Shape{8, 2});
        },
        {"[8, 2]", "[8, 1]"}},
       {"integer scales",
        [&](auto& f) {
          f.tensors[scale] = Tensor(DType::kI32, Shape{8, 1});
        },
        {"i32", "bf16"}},
       {"NaN", [&](auto& f) { f.template set<uint16_t>(scale, 0, kNan); }, {scale, "NaN at [0, 0]", "finite"}},
       {"infinity", [&](auto& f) { f.template set<uint16_t>(scale, 5, kInf); }, {scale, "Inf at [5, 0]", "finite"}},
       {"negative", [&](auto& f) { f.template set<uint16_t>(scale, 7, kMinus); }, {"-0.25 at [7, 0]"}},
       {"zero", [&](auto& f) { f.template set<uint16_t>(scale, 2, 0); }, {scale, "0 at [2, 0]", "not zero"}},
       {"NaN code", [&](auto& f) { f.template set<uint8_t>(codes, 64 * 3 + 17, 0x7f); }, {codes, "0x7f", "[3, 17]"}},
       {"-NaN code", [&](auto& f) { f.template set<uint8_t>(codes, 0, 0xff); }, {codes, "0xff", "[0, 0]"}},
       {"no codes", [&](auto& f) { f.tensors.erase(codes); }, {kKey}},
       {"codes of no shape", [&](auto& f) { f.reshape(codes, Shape{8 * 64}); }, {scale, "no quantized weight"}},
       {"other codes",
        [&](auto& f) {
          f.tensors[codes] = Tensor(DType::kI8, Shape{8, 64});
        },
        {"i8", "f8e4m3"}},
       {"a float weight",
        [&](auto& f) {
          f.tensors[codes] = cast(testing::random_tensor(Shape{8, 64}, 1), DType::kBF16);
          f.tensors.erase(scale);
        },
        {codes, "bf16 weight", "list of ignored layers"}},
       {"codes that are ignored", [&](auto& f) { f.config["ignore"] = {kKey}; }, {codes, "in float"}},
       {"a scale that is ignored",
        [&](auto& f) {
          f.config["ignore"] = {"re:.*k_proj"};
          f.tensors[codes] = cast(testing::random_tensor(Shape{8, 64}, 1), DType::kBF16);
        },
        {scale, "no quantized weight"}}});
}

TEST(CompressedTensors, DamagedPackingIsRefused) {
  const std::string packed = kDown + ".weight_packed", shape = kDown + ".weight_shape";
  const std::string zeros = kDown + ".weight_zero_point", order = kDown + ".weight_g_idx";
  const auto asymmetric = [](StoredFixture& f) { group(f)["weights"]["symmetric"] = false; };
  const auto ordered = [&](StoredFixture& f, int32_t at, int32_t value) {
    group(f)["weights"]["actorder"] = "group";
    f.tensors[order] = Tensor(DType::kI32, Shape{256});
    for (int32_t i = 0; i < 256; ++i) f.set<int32_t>(order, i, i % 2);
    f.set<int32_t>(order, at, value);
  };
  expect_refused(
      StoredFixture::load("ct-w4a16-g128"),
      {{"half of the words",
        [&](auto& f) {
          f.reshape(packed, Shape{8, 16});
        },
        {shape, "[8, 256]", "4-bit"}},
       {"words of another type",
        [&](auto& f) {
          f.tensors[packed] = Tensor(DType::kU8, Shape{8, 128});
        },
        {"u8"}},
       {"no shape", [&](auto& f) { f.tensors.erase(shape); }, {shape, "no such tensor"}},
       {"other rows", [&](auto& f) { f.template set<int64_t>(shape, 0, 9); }, {shape, "[9, 256]"}},
       {"huge columns", [&](auto& f) { f.template set<int64_t>(shape, 1, int64_t{1} << 62); }, {shape}},
       {"negative columns", [&](auto& f) { f.template set<int64_t>(shape, 1, -256); }, {shape, "-256"}},
       {"a shape of three", [&](auto& f) { f.tensors[shape] = Tensor(DType::kI64, Shape{3}); }, {shape, "[3]"}},
       {"no zero points", asymmetric, {zeros, "no such tensor"}},
       {"zero points of other rows",
        [&](auto& f) {
          asymmetric(f);
          f.tensors[zeros] = Tensor(DType::kI32, Shape{2, 2});
        },
        {zeros, "[2, 2]", "[1, 2]"}},
       {"no order", [&](auto& f) { group(f)["weights"]["actorder"] = "group"; }, {order, "no such tensor"}},
       {"a group that is not there", [&](auto& f) { ordered(f, 100, 77); }, {order, "77 at 100", "below 2"}},
       {"a negative group", [&](auto& f) { ordered(f, 9, -5); }, {order, "-5 at 9"}},
       {"a group too large", [&](auto& f) { ordered(f, 1, 0); }, {order, "group 0", "128"}},
       {"three scales",
        [&](auto& f) {
          f.reshape(kDown + ".weight_scale", Shape{8, 3});
        },
        {"[8, 3]", "[8, 2]"}}});
}

TEST(CompressedTensors, DamagedSecondLevelsAndStaticScalesAreRefused) {
  const std::string global = kKey + ".weight_global_scale", scale = kKey + ".weight_scale";
  const std::string input = kKey + ".input_scale", attention = "model.layers.0.self_attn";
  const float infinity = std::numeric_limits<float>::infinity();
  expect_refused(
      StoredFixture::load("ct-nvfp4"),
      {{"none", [&](auto& f) { f.tensors.erase(global); }, {global, "no such tensor"}},
       {"zero", [&](auto& f) { f.template set<float>(global, 0, 0); }, {global, "is 0", "finite"}},
       {"negative", [&](auto& f) { f.template set<float>(global, 0, -2); }, {global, "is -2"}},
       {"infinite", [&](auto& f) { f.template set<float>(global, 0, infinity); }, {global, "Inf"}},
       {"so small that scales overflow", [&](auto& f) { f.template set<float>(global, 0, 1e-38F); }, {global, "Inf"}},
       {"two of them", [&](auto& f) { f.reshape(global, Shape{2}); }, {global, "[2]"}},
       {"a NaN scale", [&](auto& f) { f.template set<uint8_t>(scale, 4, 0x7f); }, {scale, "NaN at [1, 0]"}},
       {"a zero scale", [&](auto& f) { f.template set<uint8_t>(scale, 5, 0); }, {scale, "0 at [1, 1]"}},
       {"no scale", [&](auto& f) { f.tensors.erase(scale); }, {scale, "no such tensor"}}});
  expect_refused(StoredFixture::load("ct-mxfp4"),
                 {{"an exponent of NaN", [&](auto& f) { f.template set<uint8_t>(scale, 3, 0xff); }, {scale, "[1, 1]"}},
                  {"float scales",
                   [&](auto& f) {
                     f.tensors[scale] = Tensor(DType::kBF16, Shape{8, 2});
                   },
                   {scale, "bf16", "u8"}}});
  expect_refused(
      StoredFixture::load("ct-fp8-static-kv"),
      {{"no input scale", [&](auto& f) { f.tensors.erase(input); }, {input, "no such tensor"}},
       {"a zero input scale", [&](auto& f) { f.template set<uint16_t>(input, 0, 0); }, {input, "is 0"}},
       {"an input scale a row", [&](auto& f) { f.reshape(input, Shape{8}); }, {input, "[8]"}},
       {"no scale of values", [&](auto& f) { f.tensors.erase(attention + ".v_scale"); }, {"k_scale", "half"}},
       {"a negative scale of keys",
        [&](auto& f) { f.template set<uint16_t>(attention + ".k_scale", 0, kMinus); },
        {attention + ".k_scale", "-0.25"}},
       {"a NaN scale of values",
        [&](auto& f) { f.template set<uint16_t>(attention + ".v_scale", 0, kNan); },
        {attention + ".v_scale", "nan"}}});
}

TEST(CompressedTensors, ConfigsThatCannotBeAreRefused) {
  expect_refused(
      StoredFixture::load("ct-w4a16-g128"),
      {{"format", [](auto& f) { group(f)["format"] = "marlin-24"; }, {"format", "marlin-24", "pack-quantized"}},
       {"strategy", [](auto& f) { group(f)["weights"]["strategy"] = "token"; }, {"strategy", "token", "channel"}},
       {"no columns", [](auto& f) { group(f)["weights"]["group_size"] = 0; }, {"group_size", "is 0"}},
       {"fewer", [](auto& f) { group(f)["weights"]["group_size"] = -2; }, {"group_size", "-2"}},
       {"not given", [](auto& f) { group(f)["weights"]["group_size"] = nullptr; }, {"group_size", "missing"}},
       {"uneven", [](auto& f) { group(f)["weights"]["group_size"] = 48; }, {"256 columns", "48", "divides 256"}},
       {"bits", [](auto& f) { group(f)["weights"]["num_bits"] = 9; }, {"9 bits", "2 to 8"}},
       {"other bits", [](auto& f) { group(f)["weights"]["num_bits"] = 5; }, {"weight_shape", "5-bit"}},
       {"type", [](auto& f) { group(f)["weights"]["type"] = "complex"; }, {"type", "complex", "int or float"}},
       {"floats", [](auto& f) { group(f)["weights"]["type"] = "float"; }, {"float", "integers"}},
       {"targets", [](auto& f) { group(f)["targets"] = {"re:(unclosed"}; }, {"targets", "regular expression"}},
       {"none", [](auto& f) { group(f)["targets"] = json::array(); }, {kDown}},
       {"sparse",
        [](auto& f) {
          f.config["sparsity_config"] = {{"format", "sparse-24-bitmask"}};
        },
        {"sparse-24"}},
       {"transforms",
        [](auto& f) {
          f.config["transform_config"] = {{"config_groups", {{"R1", json::object()}}}};
        },
        {"transform_config"}},
       {"method", [](auto& f) { f.config["quant_method"] = "superquant"; }, {"superquant", "compressed-tensors"}}});
  expect_refused(StoredFixture::load("ct-fp8-block"),
                 {{"block",
                   [](auto& f) {
                     group(f)["weights"]["block_structure"] = {0, 128};
                   },
                   {"[0,128]"}},
                  {"no block", [](auto& f) { group(f)["weights"].erase("block_structure"); }, {"block_structure"}},
                  {"words", [](auto& f) { group(f)["weights"]["block_structure"] = "ax"; }, {"block_structure"}},
                  {"smaller block",
                   [](auto& f) {
                     group(f)["weights"]["block_structure"] = {128, 64};
                   },
                   {"weight_scale", "[1, 2]"}}});
}

}  // namespace
}  // namespace omni
