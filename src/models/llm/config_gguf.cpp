#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "checkpoint/gguf.h"
#include "models/llm/config.h"
#include "models/llm/limits.h"

namespace omni {
namespace {

// general.architecture, and what it is in config.json.
struct GgufFamily {
  std::string_view name, architecture;
  bool qk_norm, has_experts;
};
constexpr std::array kFamilies = {
    GgufFamily{"llama", "LlamaForCausalLM", false, false},
    GgufFamily{"qwen2", "Qwen2ForCausalLM", false, false},
    GgufFamily{"qwen3", "Qwen3ForCausalLM", true, false},
    GgufFamily{"qwen3moe", "Qwen3MoeForCausalLM", true, true},
};

// Keys of one architecture, "qwen3.block_count", with the checks that JsonObject has.
class GgufKeys {
 public:
  GgufKeys(const GgufCheckpoint& file, std::string_view family) : file_(file), prefix_(std::string(family) + ".") {}

  bool has(const std::string& key) const { return file_.value(prefix_ + key) != nullptr; }
  int64_t size(const std::string& key, int64_t low, int64_t high) const {
    const int64_t value = file_.integer(prefix_ + key);
    if (value < low || value > high) {
      wrong(key, "is " + std::to_string(value), std::to_string(low) + " to " + std::to_string(high));
    }
    return value;
  }
  double positive(const std::string& key, double otherwise) const {
    const double value = file_.number_or(prefix_ + key, otherwise);
    if (!(value > 0) || !std::isfinite(value)) wrong(key, "is " + std::to_string(value), "a number above 0");
    return value;
  }
  std::string text_or(const std::string& key, std::string_view otherwise) const {
    return file_.text_or(prefix_ + key, otherwise);
  }
  [[noreturn]] void wrong(const std::string& key, const std::string& what, const std::string& expected) const {
    throw Error(file_.where() + ": " + prefix_ + key, what, expected);
  }

 private:
  const GgufCheckpoint& file_;
  std::string prefix_;
};

const GgufFamily& family_of(const GgufCheckpoint& file) {
  const std::string name = file.architecture();
  std::string known;
  for (const GgufFamily& family : kFamilies) {
    if (family.name == name) return family;
    known += (known.empty() ? "one of " : ", ") + std::string(family.name);
  }
  throw Error(file.where() + ": general.architecture", "is '" + name + "'", known + ", for which there are name maps");
}

void read_heads(const GgufKeys& keys, LlmConfig& c) {
  c.heads = keys.size("attention.head_count", 1, kMaxHeads);
  c.kv_heads = keys.has("attention.head_count_kv") ? keys.size("attention.head_count_kv", 1, kMaxHeads) : c.heads;
  if (c.heads % c.kv_heads != 0) {
    keys.wrong("attention.head_count_kv", "is " + std::to_string(c.kv_heads),
               "a divisor of attention.head_count, which is " + std::to_string(c.heads));
  }
  if (keys.has("attention.key_length")) {
    c.head_dim = keys.size("attention.key_length", 2, kMaxHeadDim);
  } else if (c.width % c.heads != 0) {
    keys.wrong("attention.head_count", "is " + std::to_string(c.heads),
               "a divisor of embedding_length, which is " + std::to_string(c.width));
  } else {
    c.head_dim = c.width / c.heads;
  }
  if (c.head_dim % 2 != 0 || c.head_dim > kMaxHeadDim) {
    keys.wrong("attention.key_length", "makes heads of " + std::to_string(c.head_dim),
               "an even number up to " + std::to_string(kMaxHeadDim));
  }
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    if (keys.has(key) && keys.size(key, 1, kMaxHeadDim) != c.head_dim) {
      keys.wrong(key, "is " + std::to_string(keys.size(key, 1, kMaxHeadDim)),
                 "the size of a head, " + std::to_string(c.head_dim));
    }
  }
}

RopeConfig read_rope(const GgufKeys& keys, const Checkpoint& file, const LlmConfig& c) {
  RopeConfig rope;
  rope.theta = keys.positive("rope.freq_base", 10000);
  const std::string kind = keys.text_or("rope.scaling.type", "none");
  if (kind == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (kind == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    rope.trained_positions = keys.has("rope.scaling.original_context_length")
                                 ? keys.size("rope.scaling.original_context_length", 1, kMaxPositions)
                                 : c.positions;
    if (keys.has("rope.scaling.attn_factor")) rope.attention_factor = keys.positive("rope.scaling.attn_factor", 1);
  } else if (kind != "none") {
    keys.wrong("rope.scaling.type", "is '" + kind + "'", "none, linear or yarn");
  }
  if (rope.scaling != RopeScaling::kNone) rope.factor = keys.positive("rope.scaling.factor", 1);
  if (file.find("rope_freqs.weight") == nullptr) return rope;
  if (rope.scaling != RopeScaling::kNone) {
    keys.wrong("rope.scaling.type", "is '" + kind + "' beside rope_freqs.weight", "one of the two");
  }
  rope.scaling = RopeScaling::kFactors;
  return rope;
}

void read_experts(const GgufKeys& keys, LlmConfig& c) {
  c.experts = keys.size("expert_count", 1, kMaxExperts);
  c.experts_per_token = keys.size("expert_used_count", 1, c.experts);
  c.expert_hidden = keys.size("expert_feed_forward_length", 1, kMaxHidden);
  c.normalise_experts = true;  // the format has no other
}

// Rows of the embedding, which must be as many as the vocabulary has tokens.
int64_t vocabulary(const GgufCheckpoint& file, const GgufKeys& keys) {
  const Checkpoint::Entry* table = file.find("token_embd.weight");
  if (table == nullptr || table->shape.rank() != 2) {
    throw Error(file.where() + ": token_embd.weight", table == nullptr ? "is missing" : "is no matrix",
                "the token embedding");
  }
  if (keys.has("vocab_size") && keys.size("vocab_size", 1, kMaxVocab) != table->shape[0]) {
    keys.wrong("vocab_size", "is " + std::to_string(keys.size("vocab_size", 1, kMaxVocab)),
               "the rows of token_embd.weight, " + std::to_string(table->shape[0]));
  }
  return table->shape[0];
}

}  // namespace

LlmConfig LlmConfig::from_gguf(const Checkpoint& checkpoint) {
  const GgufCheckpoint* file = as_gguf(checkpoint);
  if (file == nullptr) throw Error(checkpoint.where(), "is no GGUF file", "a GGUF file, or a folder with config.json");
  const GgufFamily& family = family_of(*file);
  const GgufKeys keys(*file, family.name);
  LlmConfig c;
  c.architecture = family.architecture;
  c.vocab = vocabulary(*file, keys);
  c.width = keys.size("embedding_length", 1, kMaxWidth);
  c.layers = keys.size("block_count", 1, kMaxLayers);
  c.positions = keys.size("context_length", 1, kMaxPositions);
  read_heads(keys, c);
  c.eps = static_cast<float>(keys.positive("attention.layer_norm_rms_epsilon", 1e-6));
  c.qk_norm = family.qk_norm;
  c.qkv_bias = file->find("blk.0.attn_q.bias") != nullptr;
  c.out_bias = file->find("blk.0.attn_output.bias") != nullptr;
  c.mlp_bias = file->find("blk.0.ffn_up.bias") != nullptr;
  c.tied = file->find("output.weight") == nullptr;
  c.rope = read_rope(keys, *file, c);
  if (family.has_experts) {
    read_experts(keys, c);
  } else {
    if (keys.has("expert_count") && keys.size("expert_count", 0, kMaxExperts) > 0) {
      keys.wrong("expert_count", "is more than 0", "0: this architecture is known without experts only");
    }
    c.hidden = keys.size("feed_forward_length", 1, kMaxHidden);
  }
  const int64_t end = file->integer_or("tokenizer.ggml.eos_token_id", -1);
  if (end >= 0 && end < c.vocab) c.end_tokens.push_back(static_cast<int32_t>(end));
  return c;
}

std::string_view llm_gguf_architecture(std::string_view architecture) {
  const auto* family = std::ranges::find(kFamilies, architecture, &GgufFamily::architecture);
  assert(family != kFamilies.end());
  return family->name;
}

std::vector<std::string_view> llm_gguf_architectures() {
  std::vector<std::string_view> out;
  for (const GgufFamily& family : kFamilies) out.push_back(family.name);
  return out;
}

}  // namespace omni
