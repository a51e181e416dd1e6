// The document and the table of `omni plan`.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "base/files.h"
#include "support/support.h"

namespace omni {
namespace {

using nlohmann::json;
using testing::omni;
using testing::Result;

// One weight of every kind; the whole document has hundreds alike.
bool is_sample(const std::string& path) {
  return path.starts_with("transformer.transformer_blocks.0.attn.") || path == "transformer.proj_out" ||
         path == "transformer.transformer_blocks.0.norm1.linear" || path.ends_with("layers.0.mlp.fc1") ||
         path == "vae.decoder.conv_in.weight";
}

// Refusals are those of the list of kernels and the machine: their form is checked, their text is not recorded.
json sample_of(json plan) {
  json weights = json::array();
  for (json& weight : plan["weights"]) {
    EXPECT_TRUE(weight.at("refusals").is_array());
    for (const json& refusal : weight["refusals"]) EXPECT_NE(refusal.get<std::string>().find(": "), std::string::npos);
    weight.erase("refusals");
    if (is_sample(weight["path"])) weights.push_back(std::move(weight));
  }
  plan["weights"] = weights;
  return plan;
}

TEST(PlanJson, IsTheRecordedDocument) {
  const Result r = omni(
      {"plan", "mini-flux", "--quantization-config",
       R"({"transformer": {"method": "int8", "ignored_layers": ["to_add_out"]}, "text_encoder": "q4_k"})", "--json"},
      "OMNI_ISA=scalar");
  ASSERT_EQ(r.code, 0) << r.err;
  const json got = sample_of(json::parse(r.out));
  const std::filesystem::path file = testing::golden("plan.json");
  const json want = json::parse(read_file(file, size_t{1} << 20));
  EXPECT_EQ(got, want) << json::diff(want, got).dump(2);
}

TEST(PlanJson, RulesWithoutEffectAreInItAndTheExitCodeIs1) {
  const Result r = omni({"plan", "mini-flux", "--quantization", "int8", "--ignored-layers", "ff_contxt", "--json"});
  EXPECT_EQ(r.code, 1);
  EXPECT_EQ(json::parse(r.out)["unmatched_rules"], json::array({"ignored_layers: ff_contxt"}));
  EXPECT_NE(r.err.find("did you mean ff_context?"), std::string::npos) << r.err;
}

TEST(Plan, WhatCannotBeCarriedOutIs1AndWhatIsNoRequestIs2) {
  for (const char* method : {"awq", "gptq", "modelopt_fp4", "auto-round"}) {
    const Result r = omni({"plan", "mini-flux", "--quantization", method});
    EXPECT_EQ(r.code, 1) << method;
    EXPECT_NE(r.err.find(std::string("'") + method + "'"), std::string::npos) << r.err;
  }
  EXPECT_EQ(omni({"plan", "mini-flux", "--quantization", "fp_8"}).code, 2);
  EXPECT_EQ(omni({"plan", "mini-flux", "--quantization-config", "{}"}).code, 2);
  EXPECT_EQ(omni({"plan", "mini-flux", "--quantization", "int8", "--diffusion-quantization-config", "fp8"}).code, 2);
}

TEST(Plan, TheTableGroupsBlocksByTheirNumbersAndHasNoColoursInAPipe) {
  const Result r = omni({"plan", "mini-flux", "--diffusion-quantization-config", "int8"});
  ASSERT_EQ(r.code, 0) << r.err;
  for (const char* part : {"transformer.single_transformer_blocks.{0..5}.proj_mlp", "x6 ",
                           "transformer.transformer_blocks.{0,1}.ff.net.0.proj", "weights in memory while running",
                           "peak while loading", "\nall "}) {
    EXPECT_NE(r.out.find(part), std::string::npos) << part << " is not in\n" << r.out;
  }
  EXPECT_EQ(r.out.find('\033'), std::string::npos);
}

// Qwen3-30B-A3B: 18 867 weights, of which no byte is read.
TEST(Plan, ThirtyBillionParametersInExpertsArePlannedInAnInstant) {
  const testing::TemporaryFolder folder;
  std::ofstream(folder.path() / "config.json") << R"({
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 2048, "head_dim": 128,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "vocab_size": 151936,
    "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "hidden_act": "silu", "tie_word_embeddings": false,
    "max_position_embeddings": 40960, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [],
    "attention_bias": false, "torch_dtype": "bfloat16"})";
  const auto begin = std::chrono::steady_clock::now();
  const Result r = omni({"plan", folder.path().string(), "--load-format", "dummy", "--quantization", "fp8"});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.out.find("model.layers.{0..47}.mlp.experts.{0..127}.down_proj  x6144"), std::string::npos) << r.out;
  EXPECT_LT(seconds, 2);
}

TEST(Plan, AFallbackIsCountedWithItsReasonsAndIsAnErrorWithStrict) {
  const std::vector<std::string> args = {"plan", "mini-flux", "--quantization", "fp8/128x128/per-group"};
  const Result r = omni(args);
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.out.find("fallback x54: fp8/128x128/per-group"), std::string::npos) << r.out;
  std::vector<std::string> strict = args;
  strict.push_back("--strict");
  EXPECT_EQ(omni(strict).code, 1);
}

}  // namespace
}  // namespace omni
