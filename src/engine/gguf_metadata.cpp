#include "engine/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "models/llm/config.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

// The pre-tokenizer that llama.cpp knows for an architecture's family.
std::string_view pre_tokenizer(std::string_view architecture) {
  return architecture == "llama" ? "llama-bpe" : "qwen2";
}

[[noreturn]] void throw_unknown(const JsonObject& config, const std::string& name) {
  std::string known = "FluxTransformer2DModel";
  for (const std::string_view architecture : llm_architectures()) known += ", " + std::string(architecture);
  throw Error(config.where(), "is of the architecture '" + name + "', which GGUF has no name for here",
              "one of " + known + ", or another --format");
}

// llama.cpp's number of a file of mostly this type (llama_ftype).
uint32_t file_type(GgmlType type) {
  switch (type) {
    case GgmlType::kF32:
      return 0;
    case GgmlType::kF16:
      return 1;
    case GgmlType::kQ4_0:
      return 2;
    case GgmlType::kQ4_1:
      return 3;
    case GgmlType::kQ8_0:
      return 7;
    case GgmlType::kQ5_0:
      return 8;
    case GgmlType::kQ5_1:
      return 9;
    case GgmlType::kQ4_K:
      return 14;
    case GgmlType::kQ5_K:
      return 16;
    case GgmlType::kQ6_K:
      return 18;
    case GgmlType::kBF16:
      return 32;
    case GgmlType::kMXFP4:
      return 38;
    default:
      return 1024;  // LLAMA_FTYPE_GUESSED: readers look at the tensors
  }
}

GgufValue count(int64_t value) {
  return GgufValue::u32(static_cast<uint32_t>(value));
}
GgufValue real(double value) {
  return GgufValue::f32(static_cast<float>(value));
}

void add_rope(const RopeConfig& rope, const std::string& name, GgufPairs& out) {
  out.emplace_back(name + ".rope.freq_base", real(rope.theta));
  if (rope.scaling != RopeScaling::kLinear && rope.scaling != RopeScaling::kYarn) return;
  const bool yarn = rope.scaling == RopeScaling::kYarn;
  out.emplace_back(name + ".rope.scaling.type", GgufValue::text(yarn ? "yarn" : "linear"));
  out.emplace_back(name + ".rope.scaling.factor", real(rope.factor));
  if (yarn) out.emplace_back(name + ".rope.scaling.original_context_length", count(rope.trained_positions));
  if (yarn && rope.attention_factor > 0)
    out.emplace_back(name + ".rope.scaling.attn_factor", real(rope.attention_factor));
}

void add_text_sizes(const LlmConfig& c, const std::string& name, GgufPairs& out) {
  out.emplace_back(name + ".context_length", count(c.positions));
  out.emplace_back(name + ".embedding_length", count(c.width));
  out.emplace_back(name + ".block_count", count(c.layers));
  out.emplace_back(name + ".feed_forward_length", count(c.hidden > 0 ? c.hidden : c.expert_hidden));
  out.emplace_back(name + ".attention.head_count", count(c.heads));
  out.emplace_back(name + ".attention.head_count_kv", count(c.kv_heads));
  out.emplace_back(name + ".attention.key_length", count(c.head_dim));
  out.emplace_back(name + ".attention.value_length", count(c.head_dim));
  out.emplace_back(name + ".attention.layer_norm_rms_epsilon", real(c.eps));
  out.emplace_back(name + ".rope.dimension_count", count(c.head_dim));
  out.emplace_back(name + ".vocab_size", count(c.vocab));
  add_rope(c.rope, name, out);
  if (c.experts == 0) return;
  out.emplace_back(name + ".expert_count", count(c.experts));
  out.emplace_back(name + ".expert_used_count", count(c.experts_per_token));
  out.emplace_back(name + ".expert_feed_forward_length", count(c.expert_hidden));
}

// The divisors of the rotary frequencies that Llama 3.1 stretches its context by, f32 [head_dim / 2]: as its authors
// define them (transformers' rope type llama3). Empty for others.
Tensor rope_factors(const LlmConfig& c) {
  if (c.rope.scaling != RopeScaling::kLlama3) return {};
  constexpr double kTurn = 2 * 3.14159265358979323846;
  const auto trained = static_cast<double>(c.rope.trained_positions);
  Tensor out(DType::kF32, Shape{c.head_dim / 2});
  for (int64_t i = 0; i < c.head_dim / 2; ++i) {
    const double frequency = std::pow(c.rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(c.head_dim));
    const double turns = trained * frequency / kTurn;  // over the trained context
    const double blend = (turns - c.rope.low_frequency) / (c.rope.high_frequency - c.rope.low_frequency);
    const double kept = std::clamp(blend, 0.0, 1.0);
    out.f32()[i] = static_cast<float>(1 / ((1 - kept) / c.rope.factor + kept));
  }
  return out;
}

// llama.cpp's kinds of tokens.
enum TokenKind : int64_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

std::string merge_text(const nlohmann::json& merge) {
  if (merge.is_string()) return merge.get<std::string>();
  return merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
}

// A byte-level BPE of tokenizer.json; false: it is of another kind.
bool add_tokenizer(const fs::path& file, const JsonObject& config, std::string_view pre, GgufPairs& out) {
  const JsonObject tokenizer = JsonObject::load(file);
  const nlohmann::json& root = tokenizer.value();
  if (!tokenizer.has("model") || tokenizer.object("model").string_or("type", "") != "BPE") return false;
  const bool bytes =
      root.contains("decoder") && root["decoder"].is_object() && root["decoder"].value("type", "") == "ByteLevel";
  if (!bytes) return false;
  const auto size = static_cast<size_t>(config.size("vocab_size", 1, 1 << 24));
  std::vector<std::string> tokens(size);
  std::vector<int64_t> kinds(size, kUnused);
  const auto set = [&](const std::string& token, int64_t id, TokenKind kind) {
    if (id < 0 || static_cast<size_t>(id) >= size) return;
    tokens[static_cast<size_t>(id)] = token;
    kinds[static_cast<size_t>(id)] = kind;
  };
  const nlohmann::json& model = root["model"];
  for (const auto& [token, id] : model.at("vocab").items()) set(token, id.get<int64_t>(), kNormal);
  if (root.contains("added_tokens")) {
    for (const auto& token : root["added_tokens"])
      set(token.at("content").get<std::string>(), token.at("id").get<int64_t>(),
          token.value("special", false) ? kControl : kUserDefined);
  }
  for (size_t i = 0; i < size; ++i) {
    if (kinds[i] == kUnused) tokens[i] = "[PAD" + std::to_string(i) + "]";
  }
  std::vector<std::string> merges;
  for (const auto& merge : model.at("merges")) merges.push_back(merge_text(merge));
  out.emplace_back("tokenizer.ggml.model", GgufValue::text("gpt2"));
  out.emplace_back("tokenizer.ggml.pre", GgufValue::text(std::string(pre)));
  out.emplace_back("tokenizer.ggml.tokens", GgufValue::texts(std::move(tokens)));
  out.emplace_back("tokenizer.ggml.token_type", GgufValue::i32s(std::move(kinds)));
  out.emplace_back("tokenizer.ggml.merges", GgufValue::texts(std::move(merges)));
  for (const auto& [key, theirs] : {std::pair{"bos", "bos_token_id"}, std::pair{"eos", "eos_token_id"}}) {
    if (!config.has(theirs) || !config.value().at(theirs).is_number_integer()) continue;
    out.emplace_back("tokenizer.ggml." + std::string(key) + "_token_id",
                     GgufValue::u32(static_cast<uint32_t>(config.size(theirs, 0, INT32_MAX))));
  }
  return true;
}

}  // namespace

GgufMetadata gguf_metadata(const fs::path& folder, const JsonObject& config, GgmlType type) {
  const std::string their_name = config.has("_class_name") ? config.string("_class_name") : llm_architecture(config);
  const bool text = std::ranges::count(llm_architectures(), std::string_view(their_name)) > 0;
  if (!text && their_name != "FluxTransformer2DModel") throw_unknown(config, their_name);
  const std::string name = text ? std::string(llm_gguf_architecture(their_name)) : "flux";
  GgufMetadata out;
  out.pairs = {{"general.architecture", GgufValue::text(name)},
               {"general.type", GgufValue::text("model")},
               {"general.name", GgufValue::text(fs::canonical(folder).filename().string())},
               {"general.file_type", GgufValue::u32(file_type(type))},
               {"general.quantization_version", GgufValue::u32(2)}};
  if (!text) return out;
  const LlmConfig sizes = LlmConfig::from_json(config);
  add_text_sizes(sizes, name, out.pairs);
  out.rope_factors = rope_factors(sizes);
  const fs::path tokenizer = folder / "tokenizer.json";
  std::error_code failed;
  if (!fs::exists(tokenizer, failed)) {
    out.notes.push_back("the model has no tokenizer.json: the file has no tokenizer");
    return out;
  }
  try {
    if (!add_tokenizer(tokenizer, config, pre_tokenizer(name), out.pairs)) {
      out.notes.push_back("tokenizer.json is no byte-level BPE: the file has no tokenizer");
    }
  } catch (const nlohmann::json::exception& e) {
    throw Error(tokenizer.string(), std::string("has no vocabulary that can be read: ") + e.what(),
                "a tokenizer.json of transformers");
  }
  return out;
}

}  // namespace omni
