#include "models/llm/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "models/llm/limits.h"

namespace omni {
namespace {

// What an architecture fixes; everything else is in its config.
struct Family {
  std::string_view architecture, model_type;
  bool qkv_bias, qk_norm, has_experts;
};
constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", "llama", false, false, false},
    Family{"Qwen2ForCausalLM", "qwen2", true, false, false},
    Family{"Qwen3ForCausalLM", "qwen3", false, true, false},
    Family{"Qwen3MoeForCausalLM", "qwen3_moe", false, true, true},
};

std::string known_architectures() {
  std::string text;
  for (const Family& family : kFamilies) text += (text.empty() ? "one of " : ", ") + std::string(family.architecture);
  return text;
}

const Family& family_of(const JsonObject& config) {
  const std::string name = llm_architecture(config);
  for (const Family& family : kFamilies) {
    if (family.architecture == name) return family;
  }
  throw Error(config.where() + ": architectures", "is '" + name + "'", known_architectures());
}

[[noreturn]] void wrong(const JsonObject& config, const char* key, const std::string& what,
                        const std::string& expected) {
  throw Error(config.where() + ": " + key, what, expected);
}

double positive(const JsonObject& config, const char* key, double otherwise) {
  const double value = config.number_or(key, otherwise);
  if (!(value > 0) || !std::isfinite(value)) wrong(config, key, "is " + std::to_string(value), "a number above 0");
  return value;
}

RopeScaling scaling_of(const JsonObject& rope, const char* key) {
  const std::string kind = rope.string_or(key, "default");
  if (kind == "default") return RopeScaling::kNone;
  if (kind == "linear") return RopeScaling::kLinear;
  if (kind == "llama3") return RopeScaling::kLlama3;
  if (kind == "yarn") return RopeScaling::kYarn;
  wrong(rope, key, "is '" + kind + "'", "default, linear, llama3 or yarn");
}

// Transformers 5 keeps everything in rope_parameters; before, theta stood beside rope_scaling.
RopeConfig read_rope(const JsonObject& config, int64_t positions) {
  RopeConfig rope;
  rope.theta = positive(config, "rope_theta", 10000);
  const char* block = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  if (!config.has(block)) return rope;
  const JsonObject r = config.object(block);
  rope.theta = positive(r, "rope_theta", rope.theta);
  rope.scaling = scaling_of(r, r.has("rope_type") ? "rope_type" : "type");
  if (rope.scaling == RopeScaling::kNone) return rope;
  rope.factor = positive(r, "factor", 0);
  if (rope.scaling == RopeScaling::kLinear) return rope;
  rope.trained_positions = r.has("original_max_position_embeddings")
                               ? r.size("original_max_position_embeddings", 1, kMaxPositions)
                               : positions;
  rope.low_frequency = positive(r, "low_freq_factor", rope.low_frequency);
  rope.high_frequency = positive(r, "high_freq_factor", rope.high_frequency);
  if (rope.high_frequency <= rope.low_frequency) {
    wrong(r, "high_freq_factor", "is " + std::to_string(rope.high_frequency), "more than low_freq_factor");
  }
  rope.beta_fast = positive(r, "beta_fast", rope.beta_fast);
  rope.beta_slow = positive(r, "beta_slow", rope.beta_slow);
  if (r.has("attention_factor")) rope.attention_factor = positive(r, "attention_factor", 1);
  for (const char* key : {"mscale", "mscale_all_dim"}) {
    if (r.has(key)) wrong(r, key, "is set", "yarn without it");
  }
  return rope;
}

void read_heads(const JsonObject& config, LlmConfig& c) {
  c.heads = config.size("num_attention_heads", 1, kMaxHeads);
  c.kv_heads = config.has("num_key_value_heads") ? config.size("num_key_value_heads", 1, kMaxHeads) : c.heads;
  if (c.heads % c.kv_heads != 0) {
    wrong(config, "num_key_value_heads", "is " + std::to_string(c.kv_heads),
          "a divisor of num_attention_heads, which is " + std::to_string(c.heads));
  }
  if (config.has("head_dim")) {
    c.head_dim = config.size("head_dim", 2, kMaxHeadDim);
  } else {
    if (c.width % c.heads != 0) {
      wrong(config, "num_attention_heads", "is " + std::to_string(c.heads),
            "a divisor of hidden_size, which is " + std::to_string(c.width));
    }
    c.head_dim = c.width / c.heads;
  }
  if (c.head_dim % 2 != 0 || c.head_dim > kMaxHeadDim) {
    wrong(config, config.has("head_dim") ? "head_dim" : "num_attention_heads",
          "makes heads of " + std::to_string(c.head_dim), "an even number up to " + std::to_string(kMaxHeadDim));
  }
}

void read_experts(const JsonObject& config, LlmConfig& c) {
  const char* count = config.has("num_experts") ? "num_experts" : "num_local_experts";
  c.experts = config.size(count, 1, kMaxExperts);
  c.experts_per_token = config.size("num_experts_per_tok", 1, c.experts);
  c.expert_hidden = config.size("moe_intermediate_size", 1, kMaxHidden);
  c.normalise_experts = config.boolean_or("norm_topk_prob", false);
  c.sparse_step = config.has("decoder_sparse_step") ? config.size("decoder_sparse_step", 1, kMaxLayers) : 1;
  if (config.has("mlp_only_layers")) c.dense_layers = config.integers("mlp_only_layers");
  for (const int64_t layer : c.dense_layers) {
    if (layer < 0 || layer >= c.layers) {
      wrong(config, "mlp_only_layers", "names layer " + std::to_string(layer),
            "layers below " + std::to_string(c.layers));
    }
  }
}

// What a config may ask for and this network does not do.
void refuse_variants(const JsonObject& config) {
  const std::string act = config.string_or("hidden_act", "silu");
  if (act != "silu") wrong(config, "hidden_act", "is '" + act + "'", "silu");
  if (config.boolean_or("use_sliding_window", false) ||
      (config.has("sliding_window") && !config.has("use_sliding_window"))) {
    wrong(config, "sliding_window", "is in use", "full attention in every layer");
  }
  if (!config.has("layer_types")) return;
  for (const std::string& type : config.strings("layer_types")) {
    if (type != "full_attention") wrong(config, "layer_types", "holds '" + type + "'", "full_attention only");
  }
}

}  // namespace

bool LlmConfig::is_sparse(int64_t layer) const {
  return experts > 0 && (layer + 1) % sparse_step == 0 && std::ranges::find(dense_layers, layer) == dense_layers.end();
}

LlmConfig LlmConfig::from_json(const JsonObject& config) {
  const Family& family = family_of(config);
  refuse_variants(config);
  LlmConfig c;
  c.architecture = family.architecture;
  c.vocab = config.size("vocab_size", 1, kMaxVocab);
  c.width = config.size("hidden_size", 1, kMaxWidth);
  c.hidden = config.size("intermediate_size", 1, kMaxHidden);
  c.layers = config.size("num_hidden_layers", 1, kMaxLayers);
  c.positions = config.has("max_position_embeddings") ? config.size("max_position_embeddings", 1, kMaxPositions) : 2048;
  read_heads(config, c);
  c.eps = static_cast<float>(positive(config, "rms_norm_eps", 1e-6));
  c.out_bias = config.boolean_or("attention_bias", false);
  c.qkv_bias = family.qkv_bias || c.out_bias;
  if (family.qkv_bias) c.out_bias = false;
  c.mlp_bias = config.boolean_or("mlp_bias", false);
  c.qk_norm = family.qk_norm;
  c.tied = config.boolean_or("tie_word_embeddings", false);
  c.rope = read_rope(config, c.positions);
  if (family.has_experts) read_experts(config, c);
  c.end_tokens = llm_end_tokens(config, c.vocab);
  return c;
}

std::string llm_architecture(const JsonObject& config) {
  if (config.has("architectures")) {
    const std::vector<std::string> names = config.strings("architectures");
    return names.empty() ? "" : names[0];
  }
  const std::string type = config.string_or("model_type", "");
  for (const Family& family : kFamilies) {
    if (family.model_type == type) return std::string(family.architecture);
  }
  return type;
}

std::vector<int32_t> llm_end_tokens(const JsonObject& config, int64_t vocab) {
  std::vector<int32_t> out;
  if (!config.has("eos_token_id")) return out;
  const bool is_list = config.value().at("eos_token_id").is_array();
  for (const int64_t id : is_list ? config.integers("eos_token_id") : std::vector{config.integer("eos_token_id")}) {
    if (id < 0 || id >= vocab) {
      wrong(config, "eos_token_id", "is " + std::to_string(id), "an id below vocab_size, " + std::to_string(vocab));
    }
    out.push_back(static_cast<int32_t>(id));
  }
  return out;
}

std::vector<std::string_view> llm_architectures() {
  std::vector<std::string_view> out;
  for (const Family& family : kFamilies) out.push_back(family.architecture);
  return out;
}

}  // namespace omni
