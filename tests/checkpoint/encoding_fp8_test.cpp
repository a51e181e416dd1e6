#include "checkpoint/encoding_fp8.h"

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

const std::string kDown = "model.layers.0.mlp.down_proj";

Weight encoded(const char* scheme, int64_t rows, int64_t cols, uint32_t seed = 1) {
  return encode(random_tensor(Shape{rows, cols}, seed), *parse_scheme(scheme), "test", nullptr);
}

Tensor single(float value, Shape shape = {}) {
  Tensor out(DType::kF32, shape);
  std::fill_n(out.f32(), shape.count(), value);
  return out;
}

// Layer "a" as `weight` says, under transformers' names.
StoredFixture spelled(const Weight& weight, const char* scale_part, Shape scale_shape, json config) {
  StoredFixture out;
  out.tensors["a.weight"] = weight.codes;
  out.tensors[std::string("a.") + scale_part] = weight.scales.reshaped(scale_shape);
  out.config = std::move(config);
  return out;
}

const json kDynamic = {{"quant_method", "fp8"}, {"activation_scheme", "dynamic"}};

TEST(Fp8, TheRecordedBlockFixtureDecodesBitForBit) {
  expect_golden("hf-fp8-block");
}

TEST(Fp8, RaggedLastBlocksKeepTheSizeOfTheOthers) {
  const Weight want = encoded("fp8/32x48", 70, 100);
  ASSERT_EQ(want.scales.shape(), (Shape{3, 3}));
  json config = kDynamic;
  config["weight_block_size"] = {32, 48};
  const OpenFixture fixture(spelled(want, "weight_scale_inv", Shape{3, 3}, config));
  EXPECT_EQ(fixture.check(), 1);
  const Weight got = fixture.stored().read("a");
  expect_same_weight(got, want);
  std::vector<float> row(100);  // element (69, 99) lies in the last block of both
  decode_row(got, 69, row);
  EXPECT_EQ(row[99], f8e4m3_to_f32(want.codes.data<uint8_t>()[69 * 100 + 99]) * want.scales.f32()[8]);
}

TEST(Fp8, AScaleATensorOrARowIsReadInEveryShape) {
  const Weight channel = encoded("fp8", 6, 8);
  for (const Shape& shape : {Shape{6}, Shape{6, 1}})
    expect_same_weight(OpenFixture(spelled(channel, "weight_scale", shape, kDynamic)).stored().read("a"), channel);
  Weight tensor = encoded("fp8/tensor/per-token", 6, 8);
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}}) {
    for (const char* part : {"weight_scale", "weight_scale_inv"})
      expect_same_weight(OpenFixture(spelled(tensor, part, shape, kDynamic)).stored().read("a"), tensor);
  }
}

TEST(Fp8, TheInverseScaleMultiplies) {
  StoredFixture f = spelled(encoded("fp8/tensor/per-token", 2, 4), "weight_scale_inv", Shape{}, kDynamic);
  f.tensors["a.weight_scale_inv"] = single(0.5F);
  f.set<uint8_t>("a.weight", 0, f32_to_f8e4m3(3));
  EXPECT_EQ(decode(OpenFixture(f).stored().read("a")).f32()[0], 1.5F);
}

TEST(Fp8, StaticScalesOfInputsAreNeededUnderEitherName) {
  json config = kDynamic;
  config["activation_scheme"] = "static";
  StoredFixture f = spelled(encoded("fp8/tensor/per-token", 6, 8), "weight_scale", Shape{}, config);
  EXPECT_NE(message_of(f).find("a.input_scale: no such tensor"), std::string::npos) << message_of(f);
  for (const char* part : {"a.input_scale", "a.activation_scale"}) {
    StoredFixture with = f;
    with.tensors[part] = single(0.25F, Shape{1});
    const OpenFixture fixture(with);
    EXPECT_EQ(fixture.check(), 1);
    EXPECT_EQ(fixture.stored().read("a").scheme.text(), "fp8/tensor/static");
    EXPECT_EQ(*fixture.stored().read("a").input_scale.f32(), 0.25F);
  }
}

TEST(Fp8, FbgemmAndE5m2AreSpellingsOfIt) {
  const Weight want = encoded("fp8", 6, 8);
  StoredFixture f = spelled(want, "weight_scale", Shape{6, 1}, {{"quant_method", "fbgemm_fp8"}});
  f.tensors["a.input_scale_ub"] = single(1200);
  const OpenFixture fixture(f);
  EXPECT_EQ(fixture.check(), 1);
  expect_same_weight(fixture.stored().read("a"), want);
  EXPECT_EQ(fixture.stored().method(), "fp8");
  const Weight wide = encoded("f8e5m2/channel", 6, 8);
  const StoredFixture e5m2 = spelled(wide, "weight_scale", Shape{6}, kDynamic);
  EXPECT_EQ(OpenFixture(e5m2).stored().read("a").scheme.codes, DType::kF8E5M2);
  StoredFixture declared = e5m2;
  declared.config["fmt"] = "e4m3";
  EXPECT_NE(message_of(declared).find("f8e5m2"), std::string::npos) << message_of(declared);
}

TEST(Fp8, ExponentScalesOfBlocksAreRead) {
  Weight want = encoded("fp8/32x48", 32, 48);
  json config = kDynamic;
  config["weight_block_size"] = {32, 48};
  StoredFixture f = spelled(want, "weight_scale_inv", Shape{1, 1}, config);
  f.tensors["a.weight_scale_inv"] = Tensor(DType::kF8E8M0, Shape{1, 1});
  f.set<uint8_t>("a.weight_scale_inv", 0, 126);
  f.set<uint8_t>("a.weight", 0, f32_to_f8e4m3(3));
  EXPECT_EQ(decode(OpenFixture(f).stored().read("a")).f32()[0], 1.5F);
}

TEST(Fp8, ScalesWithoutAConfigAreEnough) {
  const Weight want = encoded("fp8/tensor", 6, 8);
  StoredFixture f = spelled(want, "weight_scale", Shape{}, nullptr);
  f.tensors["plain.weight"] = random_tensor(Shape{2, 2}, 1);
  const OpenFixture fixture(f);
  EXPECT_EQ(fixture.check(), 1);
  expect_same_weight(fixture.stored().read("a"), want);
  EXPECT_FALSE(fixture.stored().describe("plain")->scheme.quantized());
  f.tensors["b.weight"] = want.codes;  // one of them lost its scale
  EXPECT_NE(message_of(f).find("b.weight_scale_inv: no such tensor"), std::string::npos) << message_of(f);
  f.tensors.erase("a.weight_scale");  // no scale at all: nothing says what the codes are
  EXPECT_THROW((void)OpenFixture(f).stored().describe("a"), Error);
}

TEST(Fp8, ScaledFilesOfComfyDeclareThemselvesByTheirMarker) {
  const Weight want = encoded("fp8/tensor", 6, 8);
  StoredFixture f;
  f.tensors["net.scaled_fp8"] = Tensor(DType::kF8E4M3, Shape{2});
  f.tensors["net.a.weight"] = want.codes;
  StoredFixture cast_only = f;  // no scale in the whole file: the weights are a cast
  f.tensors["net.a.scale_weight"] = want.scales.reshaped(Shape{});
  f.tensors["net.a.scale_input"] = single(1);
  f.tensors["net.norm_out.weight"] = random_tensor(Shape{2, 2}, 1);
  const OpenFixture fixture(f);
  EXPECT_EQ(fixture.check(), 1);
  expect_same_weight(fixture.stored().read("net.a"), want);
  const Weight plain = OpenFixture(cast_only).stored().read("net.a");
  EXPECT_EQ(decode(plain).f32()[3], f8e4m3_to_f32(want.codes.data<uint8_t>()[3]));
  f.tensors["net.b.weight"] = want.codes;
  EXPECT_NE(message_of(f).find("net.b.scale_weight: no such tensor"), std::string::npos) << message_of(f);
  f.tensors["net.token_embed.weight"] = want.codes;  // tables are cast, without a scale
  f.tensors.erase("net.b.weight");
  EXPECT_EQ(message_of(f), "");
}

TEST(Fp8, ListsOfSkippedLayersCoverWhatLiesBelow) {
  StoredFixture f = spelled(encoded("fp8", 6, 8), "weight_scale", Shape{6}, kDynamic);
  for (const char* name : {"lm_head", "model.visual.merger.mlp.0", "model.layers.0.mlp.gate", "model.embed_tokens",
                           "model.layers.10.attn", "model.layers.3.eh_proj"})
    f.tensors[std::string(name) + ".weight"] = cast(random_tensor(Shape{2, 4}, 1), DType::kBF16);
  f.config["modules_to_not_convert"] = {"model.visual", "layers.3.eh_proj", "model.layers.1"};
  EXPECT_NE(message_of(f).find("model.layers.10.attn.weight: is a bf16 weight"), std::string::npos) << message_of(f);
  f.config["ignored_layers"] = {"model.layers.10"};
  EXPECT_EQ(message_of(f), "");
}

TEST(Fp8, DamagedCheckpointsAreRefused) {
  const std::string scale = kDown + ".weight_scale_inv", codes = kDown + ".weight";
  expect_refused(
      StoredFixture::load("hf-fp8-block"),
      {{"rows",
        [](auto& f) {
          f.config["weight_block_size"] = {0, 128};
        },
        {"weight_block_size", "[0, 128]", "two"}},
       {"columns",
        [](auto& f) {
          f.config["weight_block_size"] = {128, -1};
        },
        {"[128, -1]", "two sizes > 0"}},
       {"one size", [](auto& f) { f.config["weight_block_size"] = {128}; }, {"[128]", "two sizes"}},
       {"a number", [](auto& f) { f.config["weight_block_size"] = 128; }, {"weight_block_size"}},
       {"huge",
        [](auto& f) {
          f.config["weight_block_size"] = {1LL << 40, 1LL << 40};
        },
        {"weight_block_size"}},
       {"other blocks",
        [](auto& f) {
          f.config["weight_block_size"] = {64, 64};
        },
        {scale, "[1, 2]", "[1, 3]"}},
       {"scheme", [](auto& f) { f.config["activation_scheme"] = "weird"; }, {"activation_scheme", "weird", "static"}},
       {"no scale", [&](auto& f) { f.tensors.erase(scale); }, {scale, "no such tensor"}},
       {"one block",
        [&](auto& f) {
          f.reshape(scale, Shape{1, 1});
        },
        {scale, "[1, 1]", "[1, 2]"}},
       {"NaN", [&](auto& f) { f.template set<uint32_t>(scale, 1, 0x7fc00000); }, {scale, "NaN at [0, 1]"}},
       {"infinite", [&](auto& f) { f.template set<uint32_t>(scale, 0, 0x7f800000); }, {scale, "Inf at [0, 0]"}},
       {"negative", [&](auto& f) { f.template set<float>(scale, 1, -1); }, {scale, "-1 at [0, 1]"}},
       {"zero", [&](auto& f) { f.template set<float>(scale, 1, 0); }, {scale, "0 at [0, 1]"}},
       {"NaN code", [&](auto& f) { f.template set<uint8_t>(codes, 192 * 3 + 5, 0xff); }, {codes, "0xff", "[3, 5]"}},
       {"half a KV cache", [](auto& f) { f.tensors["x.self_attn.k_scale"] = single(1); }, {"k_scale", "half"}},
       {"float",
        [&](auto& f) {
          f.tensors[codes] = cast(random_tensor(Shape{8, 192}, 1), DType::kF16);
          f.tensors.erase(scale);
        },
        {codes, "f16 weight"}},
       {"skipped codes", [](auto& f) { f.config["modules_to_not_convert"] = {"model.layers.0"}; }, {codes, "float"}},
       {"of no layer", [](auto& f) { f.tensors["x.weight_scale_inv"] = single(1); }, {"x.weight_scale_inv"}}});
  StoredFixture e5m2 = spelled(encoded("f8e5m2/channel", 6, 8), "weight_scale", Shape{6}, kDynamic);
  expect_refused(e5m2, {{"infinite", [](auto& f) { f.template set<uint8_t>("a.weight", 9, 0x7c); }, {"Inf", "[1, 1]"}},
                        {"NaN", [](auto& f) { f.template set<uint8_t>("a.weight", 9, 0xfe); }, {"NaN", "[1, 1]"}}});
}

}  // namespace
}  // namespace omni
