// What a config of a text model may say, and the rotary frequencies it asks for.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/llm/config.h"
#include "models/llm/rope.h"

namespace omni {
namespace {

nlohmann::json sound() {
  return {{"architectures", {"Qwen3MoeForCausalLM"}},
          {"hidden_size", 64},
          {"intermediate_size", 128},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 32},
          {"vocab_size", 256},
          {"max_position_embeddings", 512},
          {"rms_norm_eps", 1e-6},
          {"eos_token_id", {2, 7}},
          {"num_experts", 8},
          {"num_experts_per_tok", 2},
          {"moe_intermediate_size", 32},
          {"rope_parameters", {{"rope_theta", 1e6}, {"rope_type", "default"}}}};
}

LlmConfig read(const nlohmann::json& config) {
  return LlmConfig::from_json(JsonObject::parse(config.dump(), "config.json"));
}

TEST(LlmConfig, ReadsWhatTheFamilyAndTheFileSay) {
  const LlmConfig c = read(sound());
  EXPECT_TRUE(c.qk_norm);
  EXPECT_FALSE(c.qkv_bias);
  EXPECT_EQ(c.head_dim, 32);
  EXPECT_EQ(c.rope.theta, 1e6);
  EXPECT_EQ(c.end_tokens, (std::vector<int32_t>{2, 7}));
  nlohmann::json qwen2 = sound();
  qwen2["architectures"] = {"Qwen2ForCausalLM"};
  qwen2.erase("head_dim");
  EXPECT_TRUE(read(qwen2).qkv_bias);
  EXPECT_EQ(read(qwen2).head_dim, 16);
  EXPECT_EQ(read(qwen2).experts, 0);
}

TEST(LlmConfig, SaysWhichLayersHaveExperts) {
  nlohmann::json config = sound();
  config["decoder_sparse_step"] = 2;
  config["mlp_only_layers"] = {3};
  const LlmConfig c = read(config);
  const bool want[] = {false, true, false, false};
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(c.is_sparse(i), want[i]) << "layer " << i;
}

TEST(LlmConfig, RefusesWhatCannotBe) {
  const struct {
    const char* key;
    nlohmann::json value;  // null: the key is taken away
    const char* words;
  } cases[] = {
      {"architectures", {"MambaFormer9ForCausalLM"}, "is 'MambaFormer9ForCausalLM' (expected one of LlamaForCausalLM"},
      {"architectures", "LlamaForCausalLM", "architectures: is \"LlamaForCausalLM\""},
      {"hidden_size", 0, "hidden_size: is 0"},
      {"hidden_size", -64, "hidden_size: is -64"},
      {"hidden_size", 1 << 30, "hidden_size: is 1073741824"},
      {"hidden_size", "64", "hidden_size: is \"64\""},
      {"hidden_size", nullptr, "hidden_size: is missing"},
      {"num_hidden_layers", 1000000000, "num_hidden_layers: is 1000000000"},
      {"num_hidden_layers", 0, "num_hidden_layers: is 0"},
      {"num_attention_heads", 3, "num_key_value_heads: is 2 (expected a divisor of num_attention_heads, which is 3)"},
      {"num_key_value_heads", 0, "num_key_value_heads: is 0"},
      {"head_dim", 7, "an even number"},
      {"head_dim", 4096, "head_dim: is 4096"},
      {"vocab_size", 1e12, "vocab_size: is"},
      {"rms_norm_eps", -1, "rms_norm_eps: is -1"},
      {"hidden_act", "gelu", "hidden_act: is 'gelu' (expected silu)"},
      {"use_sliding_window", true, "sliding_window: is in use"},
      {"layer_types", {"full_attention", "sliding_attention"}, "layer_types: holds 'sliding_attention'"},
      {"num_experts", 0, "num_experts: is 0"},
      {"num_experts_per_tok", 9, "num_experts_per_tok: is 9 (expected 1 to 8)"},
      {"mlp_only_layers", {4}, "mlp_only_layers: names layer 4"},
      {"eos_token_id", 256, "eos_token_id: is 256"},
      {"rope_parameters", {{"rope_type", "longrope"}, {"factor", 2}}, "rope_type: is 'longrope'"},
      {"rope_parameters", {{"rope_type", "linear"}}, "factor: is 0"},
      {"rope_parameters", {{"rope_theta", -1}}, "rope_theta: is -1"},
  };
  for (const auto& c : cases) {
    nlohmann::json config = sound();
    config[c.key] = c.value;
    if (c.value.is_null()) config.erase(c.key);
    try {
      read(config);
      ADD_FAILURE() << c.key << " = " << c.value << " was accepted";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(c.words), std::string::npos) << e.what();
    }
  }
}

TEST(LlmConfig, HeadsMustDivideTheWidthWhenNoHeadSizeIsGiven) {
  nlohmann::json config = sound();
  config.erase("head_dim");
  config["num_attention_heads"] = 3;
  config["num_key_value_heads"] = 1;
  try {
    read(config);
    ADD_FAILURE() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("a divisor of hidden_size, which is 64"), std::string::npos) << e.what();
  }
}

// Hand-computed from the formulas: pairs that turn fast stay, those that turn slowly are stretched by the factor.
TEST(Rope, ScalingsLeaveFastPairsAndStretchSlowOnes) {
  const RopeConfig plain{.theta = 500000};
  const std::vector<float> base = rope_frequencies(plain, 128, {});
  EXPECT_FLOAT_EQ(base[0], 1.0f);
  EXPECT_NEAR(base[32], 1 / std::sqrt(500000.0), 1e-9);
  for (const RopeScaling scaling : {RopeScaling::kLlama3, RopeScaling::kYarn}) {
    RopeConfig rope = plain;
    rope.scaling = scaling;
    rope.factor = 8;
    rope.trained_positions = 8192;
    const std::vector<float> got = rope_frequencies(rope, 128, {});
    EXPECT_FLOAT_EQ(got[0], base[0]);
    EXPECT_FLOAT_EQ(got[63], base[63] / 8);
    for (size_t i = 0; i < 64; ++i) {
      EXPECT_LE(got[i], base[i] * 1.000001f) << "pair " << i;
      EXPECT_GE(got[i], base[i] / 8 * 0.999999f) << "pair " << i;
    }
  }
  RopeConfig linear = plain;
  linear.scaling = RopeScaling::kLinear;
  linear.factor = 4;
  EXPECT_FLOAT_EQ(rope_frequencies(linear, 128, {})[10], base[10] / 4);
}

TEST(Rope, YarnScalesCosAndSinByItsFactor) {
  RopeConfig rope{.scaling = RopeScaling::kYarn, .factor = 4, .trained_positions = 32768};
  EXPECT_NEAR(rope_attention_factor(rope), 0.1 * std::log(4.0) + 1, 1e-6);
  rope.attention_factor = 1.5;
  EXPECT_FLOAT_EQ(rope_attention_factor(rope), 1.5f);
  EXPECT_EQ(rope_attention_factor(RopeConfig{}), 1.0f);
}

}  // namespace
}  // namespace omni
