// The faults that users of the reference system reported at the level of checkpoints, one test a number. Those of
// config and plan (1-20, 29-31, 33-35, 37) are in tests/quant/reported_bugs_test.cpp.
#include "checkpoint/gguf_reference.h"
#include "checkpoint/stored_fixture.h"
#include "checkpoint/weight_source.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using nlohmann::json;
using testing::expect_golden;
using testing::expect_refused;
using testing::message_of;
using testing::OpenFixture;
using testing::random_tensor;
using testing::StoredFixture;
namespace fs = std::filesystem;

const std::string kK = "model.layers.0.self_attn.k_proj";

Tensor filled(DType dtype, Shape shape, std::initializer_list<uint32_t> words) {
  Tensor out(dtype, shape);
  const size_t size = static_cast<size_t>(out.bytes()) / words.size();
  size_t i = 0;
  for (const uint32_t word : words) {
    for (size_t at = 0; at < size; at += 4) std::memcpy(out.raw() + i * size + at, &word, std::min<size_t>(4, size));
    ++i;
  }
  return out;
}
Tensor ones(DType dtype, Shape shape) {
  Tensor out(DType::kF32, shape);
  std::fill_n(out.f32(), shape.count(), 1.0F);
  return cast(out, dtype);
}

// Layer "a" of 4 x 8 in transformers' fp8, with a scale of this shape that holds `scale` everywhere.
StoredFixture fp8_layer(float scale, Shape shape, const char* part = "weight_scale", json more = json::object()) {
  StoredFixture f;
  f.tensors["a.weight"] = Tensor(DType::kF8E4M3, Shape{4, 8});
  std::fill_n(f.tensors["a.weight"].data<uint8_t>(), 32, f32_to_f8e4m3(3));
  Tensor scales(DType::kF32, shape);
  std::fill_n(scales.f32(), shape.count(), scale);
  f.tensors[std::string("a.") + part] = scales;
  f.config = {{"quant_method", "fp8"}, {"activation_scheme", "dynamic"}};
  f.config.update(more);
  return f;
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
void write_index(const fs::path& file, const json& weight_map) {
  std::ofstream(file) << json{{"metadata", json::object()}, {"weight_map", weight_map}}.dump();
}

TEST(ReportedBugs, Bug21_ScalesThatAreMissingOrphanedLateOrInAnotherShard) {
  const StoredFixture sound = StoredFixture::load("ct-fp8-dynamic");
  expect_refused(sound, {{"missing", [](auto& f) { f.tensors.erase(kK + ".weight_scale"); }, {"weight_scale"}},
                         {"orphan",
                          [](auto& f) { f.tensors["model.layers.0.x.weight_scale"] = f.tensors[kK + ".weight_scale"]; },
                          {"model.layers.0.x.weight_scale"}}});
  const testing::TemporaryFolder folder;
  write_safetensors(folder.path() / "1.safetensors", {{kK + ".weight_scale", sound.tensors.at(kK + ".weight_scale")}});
  write_safetensors(folder.path() / "2.safetensors", {{kK + ".weight", sound.tensors.at(kK + ".weight")}});
  write_index(folder.path() / "model.safetensors.index.json",
              {{kK + ".weight", "2.safetensors"}, {kK + ".weight_scale", "1.safetensors"}});
  const auto checkpoint = open_safetensors(folder.path());
  const JsonObject config = JsonObject::parse(sound.config.dump(), "config.json");
  const auto stored = find_encoding(*checkpoint, &config).open(*checkpoint, &config);
  const Tensor split = decode(stored->read(kK)), whole = decode(OpenFixture(sound).stored().read(kK));
  EXPECT_EQ(std::memcmp(split.raw(), whole.raw(), static_cast<size_t>(whole.bytes())), 0);
}

TEST(ReportedBugs, Bug22_ScalesThatAreNanInfiniteZeroOrNegativeAndNanCodes) {
  const auto set = [](uint16_t bits) {
    return [bits](StoredFixture& f) { f.set<uint16_t>(kK + ".weight_scale", 5, bits); };
  };
  expect_refused(StoredFixture::load("ct-fp8-dynamic"),
                 {{"NaN", set(0x7fc0), {kK, "NaN"}},
                  {"Inf", set(0x7f80), {kK, "nf"}},
                  {"zero", set(0), {kK, "0"}},
                  {"negative", set(0xbf80), {kK, "-1"}},
                  {"NaN code", [](auto& f) { f.template set<uint8_t>(kK + ".weight", 9, 0x7f); }, {kK, "NaN"}}});
}

TEST(ReportedBugs, Bug23_AScaleIsAScalarAVectorAColumnOrAGrid) {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{1, 1}, Shape{4}, Shape{4, 1}}) {
    EXPECT_EQ(decode(OpenFixture(fp8_layer(0.5F, shape)).stored().read("a")).f32()[31], 1.5F) << shape.text();
  }
  const json blocks = {{"weight_block_size", {2, 4}}};
  EXPECT_EQ(decode(OpenFixture(fp8_layer(0.5F, Shape{2, 2}, "weight_scale_inv", blocks)).stored().read("a")).f32()[9],
            1.5F);
  for (const Shape& shape : {Shape{3}, Shape{2, 1}, Shape{2, 1, 1, 1}, Shape{4, 8}}) {
    EXPECT_TRUE(has(message_of(fp8_layer(0.5F, shape)), shape.text())) << message_of(fp8_layer(0.5F, shape));
  }
}

TEST(ReportedBugs, Bug24_AScaleMultipliesUnderBothNames) {
  for (const char* part : {"weight_scale", "weight_scale_inv"}) {
    EXPECT_EQ(decode(OpenFixture(fp8_layer(0.25F, Shape{}, part)).stored().read("a")).f32()[0], 0.75F) << part;
  }
}

TEST(ReportedBugs, Bug25_FusedPartsWithDifferentScalesKeepThem) {
  const Weight q = OpenFixture(fp8_layer(0.5F, Shape{})).stored().read("a");
  const Weight k = OpenFixture(fp8_layer(2.0F, Shape{})).stored().read("a");
  const std::vector<Weight> parts = {q, k};
  const Tensor values = decode(concat_rows(parts, "qk"));
  EXPECT_EQ(values.f32()[0], 1.5F);
  EXPECT_EQ(values.f32()[4 * 8], 6.0F) << "no common maximum, no second rounding";
}

TEST(ReportedBugs, Bug26_AStaticSchemeWithoutInputScalesIsRefused) {
  expect_refused(StoredFixture::load("ct-fp8-static-kv"),
                 {{"absent", [](auto& f) { f.tensors.erase(kK + ".input_scale"); }, {kK + ".input_scale"}}});
}

TEST(ReportedBugs, Bug27_AnIndexThatIsStaleOrNamesWhatIsNotThere) {
  const testing::TemporaryFolder folder;
  write_safetensors(folder.path() / "1.safetensors", {{"a", random_tensor(Shape{2}, 1)}, {"b", random_tensor({3}, 2)}});
  write_safetensors(folder.path() / "9.safetensors", {{"old", random_tensor(Shape{2}, 1)}});
  const fs::path index = folder.path() / "model.safetensors.index.json";
  write_index(index, {{"a", "1.safetensors"}, {"b", "1.safetensors"}});
  EXPECT_EQ(open_safetensors(folder.path())->names(), (std::vector<std::string>{"a", "b"})) << "extra shards are stale";
  write_index(index, {{"a", "1.safetensors"}, {"c", "2.safetensors"}});
  EXPECT_TRUE(has(refusal([&] { (void)open_safetensors(folder.path()); }), "2.safetensors"));
  write_index(index, {{"a", "9.safetensors"}});
  EXPECT_TRUE(has(refusal([&] { (void)open_safetensors(folder.path()); }), "a"));
  write_index(index, {{"a", "../1.safetensors"}});
  EXPECT_NE(refusal([&] { (void)open_safetensors(folder.path()); }), "");
  fs::remove(index);
  EXPECT_TRUE(has(refusal([&] { (void)open_safetensors(folder.path()); }), "several files and no index"));
}

TEST(ReportedBugs, Bug28_AnFp8TensorForAFloatParameterIsDequantizedWithItsScaleOrRefused) {
  const testing::TemporaryFolder folder;
  const auto source = [&](const StoredFixture& f) {
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : f.tensors) tensors.push_back({name, tensor});
    write_safetensors(folder.path() / "x.safetensors", tensors);
    const json config = {{"quantization_config", f.config}};
    return WeightSource("model", open_safetensors(folder.path() / "x.safetensors"),
                        JsonObject::parse(config.dump(), "config.json"), {});
  };
  WeightSource sound = source(fp8_layer(0.5F, Shape{}));
  EXPECT_EQ(sound.tensor("a.weight", Shape{4, 8}).f32()[7], 1.5F);
  StoredFixture bare = fp8_layer(0.5F, Shape{});
  bare.tensors.erase("a.weight_scale");
  EXPECT_TRUE(has(refusal([&] { (void)source(bare).tensor("a.weight", Shape{4, 8}); }), "scale"));
}

TEST(ReportedBugs, Bug32_APreQuantScaleIsApplied) {
  StoredFixture f = StoredFixture::load("modelopt-nvfp4-kv");
  f.config["quant_algo"] = "NVFP4_AWQ";
  f.tensors[kK + ".pre_quant_scale"] = ones(DType::kBF16, Shape{64});
  const OpenFixture fixture(f);
  EXPECT_TRUE(fixture.stored().read(kK).scheme.smooth);
}

TEST(ReportedBugs, Bug36_AQuantizedTensorThatIsMissingIsNamed) {
  expect_refused(StoredFixture::load("modelopt-nvfp4-kv"),
                 {{"second level", [](auto& f) { f.tensors.erase(kK + ".weight_scale_2"); }, {"weight_scale_2"}},
                  {"codes", [](auto& f) { f.tensors.erase(kK + ".weight"); }, {kK}}});
  expect_refused(StoredFixture::load("ct-w4a16-g128"),
                 {{"shape", [](auto& f) { f.tensors.erase("model.layers.0.mlp.down_proj.weight_shape"); }, {"shape"}}});
}

TEST(ReportedBugs, Bug38_ExtraKeysAreListedAndExtraPartsRefused) {
  const testing::TemporaryFolder folder;
  write_safetensors(folder.path() / "x.safetensors",
                    {{"a.weight", random_tensor(Shape{2, 2}, 1)}, {"total_params", random_tensor(Shape{1}, 2)}});
  WeightSource source("model", open_safetensors(folder.path() / "x.safetensors"), JsonObject::parse("{}", "c"), {});
  (void)source.weight("a", 2, 2);
  EXPECT_EQ(source.unread(), std::vector<std::string>{"total_params"});
}

TEST(ReportedBugs, Bug39_PackedOrdersOfGptqAwqAndNvfp4) {
  StoredFixture gptq;  // a word holds eight codes along K
  gptq.tensors = {{"a.qweight", filled(DType::kI32, Shape{4, 8}, {0x76543210})},
                  {"a.qzeros", filled(DType::kI32, Shape{1, 1}, {0x77777777})},
                  {"a.scales", ones(DType::kF16, Shape{1, 8})},
                  {"a.g_idx", filled(DType::kI32, Shape{32}, {0})}};
  gptq.config = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 32}, {"desc_act", false}, {"sym", true}};
  const Tensor by_k = decode(OpenFixture(gptq).stored().read("a"));
  for (int64_t k = 0; k < 32; ++k) EXPECT_EQ(by_k.f32()[k], static_cast<float>(k % 8) - 8) << "v1: zero point + 1";

  StoredFixture awq;  // a word holds eight outputs in the order 0 2 4 6 1 3 5 7
  awq.tensors = {{"a.qweight", filled(DType::kI32, Shape{32, 1}, {0x76543210})},
                 {"a.qzeros", filled(DType::kI32, Shape{1, 1}, {0})},
                 {"a.scales", ones(DType::kF16, Shape{1, 8})}};
  awq.config = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 32}, {"zero_point", true}, {"version", "gemm"}};
  const Tensor by_n = decode(OpenFixture(awq).stored().read("a"));
  const float order[] = {0, 4, 1, 5, 2, 6, 3, 7};
  for (int64_t n = 0; n < 8; ++n) EXPECT_EQ(by_n.f32()[n * 32], order[n]) << n;

  StoredFixture nvfp4 = StoredFixture::load("modelopt-nvfp4-kv");  // a byte: the even column in its low half
  nvfp4.set<uint8_t>(kK + ".weight", 0, 0x21);
  const Tensor pair = decode(OpenFixture(nvfp4).stored().read(kK));
  EXPECT_EQ(pair.f32()[1], 2 * pair.f32()[0]) << "codes 1 and 2 are 0.5 and 1";
  for (const char* name : {"modelopt-nvfp4-kv", "ct-nvfp4", "ct-mxfp4", "ct-w4a16-g128"}) expect_golden(name);
}

TEST(ReportedBugs,
     Bug40_GgufDimensionsBytesSwapsTagsAndColons) {  // mixed and split files: gguf_test, encoding_gguf_test
  const fs::path types = testing::golden("checkpoints/gguf-types") / "types.gguf";
  const auto file = open_checkpoint(types);
  EXPECT_EQ(file->find("t.q4_k")->shape, (Shape{2, 256})) << "the file says 256, 2";
  const testing::TemporaryFolder folder;
  fs::create_directories(folder.path() / "a:b");
  for (const char* name : {"m-Q4_0.gguf", "m-Q8_0.gguf"}) std::ofstream(folder.path() / "a:b" / name) << "x";
  const std::string at = (folder.path() / "a:b").string();
  EXPECT_EQ(find_gguf(at + ":Q8_0").filename(), "m-Q8_0.gguf") << "the last colon splits";
  EXPECT_TRUE(has(refusal([&] { (void)find_gguf(at + ":Q5_K_M"); }), "Q4_0, Q8_0")) << "a tag that is not there";
  EXPECT_TRUE(has(refusal([&] { (void)find_gguf(at); }), "several")) << "several files and no tag";

  // adaLN: their first half is our second.
  write_safetensors(folder.path() / "x.safetensors", {{"final.adaLN.weight", random_tensor(Shape{4, 3}, 1)}});
  const NameMap map{
      "original", "final.adaLN.weight", {{.ours = "norm_out.linear", .theirs = "final.adaLN", .swap_halves = true}}};
  WeightSource source("transformer", open_safetensors(folder.path() / "x.safetensors"), JsonObject::parse("{}", "c"),
                      {map});
  const Tensor swapped = decode(source.weight("norm_out.linear", 4, 3));
  const Tensor stored = to_f32(open_safetensors(folder.path() / "x.safetensors")->tensor("final.adaLN.weight"));
  EXPECT_EQ(swapped.f32()[0], stored.f32()[6]);
  EXPECT_EQ(swapped.f32()[6], stored.f32()[0]);
}

}  // namespace
}  // namespace omni
