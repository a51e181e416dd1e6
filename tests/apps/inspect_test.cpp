// omni inspect: what it prints of a checkpoint, the weights it decodes, the damage it names.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_write.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using testing::random_tensor;

class Inspect : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  // inspect FILE --decode NAME, as read back; empty with the message in err_ when it failed.
  Tensor decoded(const std::string& file, const std::string& name) {
    fs::remove(path("w.npy"));
    const testing::Result r = testing::omni({"inspect", file, "--decode", name, "-o", path("w.npy")});
    err_ = r.err;
    EXPECT_EQ(fs::exists(path("w.npy")), r.code == 0) << r.err;
    return r.code == 0 ? read_npy(path("w.npy")) : Tensor();
  }
  void expect_equal(const Tensor& got, const Tensor& want, const std::string& what) const {
    ASSERT_FALSE(got.empty()) << what << ": " << err_;
    ASSERT_EQ(got.shape(), want.shape()) << what;
    const auto d = testing::compare(got, want);
    EXPECT_EQ(d.over_range, 0) << what << ": " << d.text();
  }
  void expect_refused(const testing::Result& r, const std::vector<std::string>& words) const {
    EXPECT_EQ(r.code, 1) << r.err;
    EXPECT_EQ(r.out, "");
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
    for (const std::string& word : words)
      EXPECT_NE(r.err.find(word), std::string::npos) << word << " is not in " << r.err;
  }
  testing::TemporaryFolder folder_;
  std::string err_;
};

// A Llama of one block with experts; q's rows as llama.cpp stores them.
class InspectGguf : public Inspect {
 protected:
  void SetUp() override {
    write_gguf(path("llama-Q8_0.gguf"),
               {{"general.architecture", GgufValue::text("llama")},
                {"llama.attention.head_count", GgufValue::u32(2)},
                {"llama.attention.head_count_kv", GgufValue::u32(1)}},
               {tensor("token_embd.weight", Shape{6, 32}, embedding_, GgmlType::kQ8_0),
                tensor("blk.0.attn_q.weight", Shape{8, 32}, q_, GgmlType::kQ8_0),
                tensor("blk.0.ffn_up_exps.weight", Shape{3, 4, 32}, experts_, GgmlType::kQ8_0),
                {{"output_norm.weight", GgmlType::kF32, Shape{32}}, norm_}});
  }
  static GgufTensor tensor(const std::string& name, Shape shape, Tensor& values, GgmlType type) {
    const Weight weight = encode(values, ggml_type_info(type).scheme, name, nullptr);
    values = decode(weight);
    return {{name, type, shape}, to_gguf_blocks(weight, type)};
  }
  Tensor embedding_ = random_tensor(Shape{6, 32}, 1), q_ = random_tensor(Shape{8, 32}, 2);
  Tensor experts_ = random_tensor(Shape{12, 32}, 3), norm_ = random_tensor(Shape{32}, 4);
};

TEST_F(InspectGguf, DecodesByTheFilesOwnNames) {
  const std::string file = path("llama-Q8_0.gguf");
  expect_equal(decoded(file, "token_embd"), embedding_, "token_embd");
  expect_equal(decoded(file, "token_embd.weight"), embedding_, "token_embd.weight");
  expect_equal(decoded(file, "blk.0.attn_q"), q_, "rows as they are stored");
  expect_equal(decoded(file, "output_norm.weight"), norm_, "a vector");
  expect_equal(decoded(file, "blk.0.ffn_up_exps"), experts_.reshaped(Shape{3, 4, 32}), "a stack");
  expect_equal(decoded(folder_.path().string() + ":q8_0", "token_embd"), embedding_, "a reference");
}

TEST_F(InspectGguf, DecodesByHuggingFacesNamesThroughTheMap) {
  const std::string file = path("llama-Q8_0.gguf");
  expect_equal(decoded(file, "model.embed_tokens"), embedding_, "model.embed_tokens");
  expect_equal(decoded(file, "model.norm.weight"), norm_, "model.norm.weight");
  Tensor unpermuted(DType::kF32, Shape{8, 32});
  const int64_t from[] = {0, 2, 1, 3, 4, 6, 5, 7};
  for (int64_t row = 0; row < 8; ++row) std::copy_n(q_.f32() + from[row] * 32, 32, unpermuted.f32() + row * 32);
  expect_equal(decoded(file, "model.layers.0.self_attn.q_proj.weight"), unpermuted, "q_proj");
  expect_equal(decoded(file, "model.layers.0.block_sparse_moe.experts.2.w3"), to_f32(experts_.row_range(8, 4)),
               "an expert of a stack");
}

TEST_F(InspectGguf, AnUnknownNameIsAnsweredWithTheClosest) {
  (void)decoded(path("llama-Q8_0.gguf"), "blk.0.attn_qq");
  EXPECT_NE(err_.find("'blk.0.attn_qq': did you mean blk.0.attn_q?"), std::string::npos) << err_;
}

TEST_F(InspectGguf, TheTableAndTheJsonNameTypesMetadataAndChecks) {
  const testing::Result table = testing::omni({"inspect", path("llama-Q8_0.gguf")});
  EXPECT_EQ(table.code, 0) << table.err;
  for (const char* words : {"gguf in 1 file", "general.architecture = llama", "encoding gguf", "blk.*.ffn_up_exps",
                            "[3, 4, 32]", "q8_0: 3 weights", "values of 3 quantized weights checked"})
    EXPECT_NE(table.out.find(words), std::string::npos) << words << " is not in " << table.out;
  const nlohmann::json json = nlohmann::json::parse(testing::omni({"inspect", path("llama-Q8_0.gguf"), "--json"}).out);
  const nlohmann::json& part = json.at("parts").at(0);
  EXPECT_EQ(part.at("container"), "gguf");
  EXPECT_EQ(part.at("metadata").at("llama.attention.head_count"), "2");
  EXPECT_EQ(part.at("schemes").at("q8_0").at("weights"), 3);
  EXPECT_EQ(part.at("weights").at(0).at("shape"), (std::vector<int64_t>{8, 32}));
  EXPECT_EQ(part.at("weights").at(0).at("ggml_type"), "Q8_0");
  EXPECT_EQ(part.at("tensors").at(0).at("name"), "output_norm.weight");
  EXPECT_EQ(part.at("checked_weights"), 3);
  EXPECT_EQ(json.at("bytes"), (6 + 8 + 12) * 34 + 128);
}

TEST_F(Inspect, EveryComponentOfAPipelineIsShownAndDecoded) {
  const auto file = open_safetensors(testing::model("mini-flux") / "transformer");
  expect_equal(decoded("mini-flux", "transformer.proj_out"), to_f32(file->tensor("proj_out.weight")), "proj_out");
  expect_equal(decoded("mini-flux", "transformer.proj_out.bias"), to_f32(file->tensor("proj_out.bias")), "a bias");
  const nlohmann::json json = nlohmann::json::parse(testing::omni({"inspect", "mini-flux", "--json"}).out);
  std::vector<std::string> components;
  for (const auto& part : json.at("parts")) components.push_back(part.at("component"));
  EXPECT_EQ(components, (std::vector<std::string>{"text_encoder", "text_encoder_2", "transformer", "vae"}));
}

// int8 with a scale a channel, as compressed-tensors spells it; lm_head stays float.
class InspectQuantized : public Inspect {
 protected:
  void write(float first_scale, const std::string& prefix, const std::string& config) {
    Weight weight = encode(values_, find_preset("int8")->scheme, "w", nullptr);
    want_ = decode(weight);
    if (first_scale != 0) weight.scales.f32()[0] = first_scale;
    write_safetensors(path("model.safetensors"), {{prefix + "layers.0.up.weight", weight.codes},
                                                  {prefix + "layers.0.up.weight_scale", weight.scales},
                                                  {prefix + "layers.0.norm.weight", random_tensor(Shape{8}, 2)},
                                                  {"lm_head.weight", values_}});
    write_file_whole(path("config.json"), config);
    // What recorded values beside a checkpoint hold is no part of it.
    write_safetensors(path("golden.safetensors"), {{"other.weight", values_}});
  }
  static constexpr const char* kQuantization = R"({"quant_method": "compressed-tensors", "format": "int-quantized",
    "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"],
    "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true, "dynamic": false}}}})";
  static std::string inline_config() { return std::string(R"({"quantization_config": )") + kQuantization + "}"; }
  Tensor values_ = random_tensor(Shape{4, 8}, 1), want_;
};

TEST_F(InspectQuantized, TheFolderTellsTheSchemeAndWhatStaysFloat) {
  write(0, "model.", inline_config());
  expect_equal(decoded(folder_.path().string(), "model.layers.0.up"), want_, "dequantized");
  expect_equal(decoded(path("model.safetensors"), "model.layers.0.up.weight"), want_, "the file beside its config");
  const testing::Result r = testing::omni({"inspect", folder_.path().string()});
  for (const char* words : {"encoding compressed-tensors", "kept in float: lm_head", "model.layers.*.up",
                            "values of 1 quantized weights checked"})
    EXPECT_NE(r.out.find(words), std::string::npos) << words << " is not in " << r.out << r.err;
  const testing::Result other = testing::omni({"inspect", path("golden.safetensors")});
  EXPECT_EQ(other.code, 0) << "the config does not speak for another file of the folder: " << other.err;
}

TEST_F(InspectQuantized, ImpossibleValuesAreNamedInOneLine) {
  write(std::numeric_limits<float>::quiet_NaN(), "model.", inline_config());
  expect_refused(testing::omni({"inspect", folder_.path().string()}),
                 {"model.safetensors", "model.layers.0.up.weight_scale", "NaN"});
  (void)decoded(folder_.path().string(), "model.layers.0.up");
  EXPECT_NE(err_.find("NaN"), std::string::npos) << err_;
}

TEST_F(InspectQuantized, AConfigBlockSpeaksForItsOwnComponentOnly) {
  write(0, "thinker.model.",
        std::string(R"({"thinker_config": {"text_config": {"quantization_config": )") + kQuantization + "}}}");
  const nlohmann::json json =
      nlohmann::json::parse(testing::omni({"inspect", folder_.path().string(), "--json"}).out).at("parts").at(0);
  EXPECT_EQ(json.at("quantization").at(0).at("prefixes"), std::vector<std::string>{"thinker.model"});
  EXPECT_EQ(json.at("quantization").at(0).at("encoding"), "compressed-tensors");
  EXPECT_EQ(json.at("quantization").at(1).at("encoding"), "plain");
  EXPECT_EQ(json.at("kept_float"), std::vector<std::string>{"lm_head"});
  expect_equal(decoded(folder_.path().string(), "thinker.model.layers.0.up"), want_, "dequantized");
}

}  // namespace
}  // namespace omni
