#include "engine/gguf_metadata.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

// A class of diffusers or an architecture of transformers, what GGUF calls it, and the pre-tokenizer that llama.cpp
// knows for its family.
struct Architecture {
  std::string_view theirs, gguf, pre_tokenizer;
};
constexpr std::array kArchitectures = {
    Architecture{"FluxTransformer2DModel", "flux", ""},       Architecture{"LlamaForCausalLM", "llama", "llama-bpe"},
    Architecture{"Qwen2ForCausalLM", "qwen2", "qwen2"},       Architecture{"Qwen3ForCausalLM", "qwen3", "qwen2"},
    Architecture{"Qwen3MoeForCausalLM", "qwen3moe", "qwen2"},
};

const Architecture& find_architecture(const JsonObject& config) {
  const std::string name = config.has("_class_name") ? config.string("_class_name")
                           : config.has("architectures") && !config.strings("architectures").empty()
                               ? config.strings("architectures")[0]
                               : "";
  const auto it = std::ranges::find(kArchitectures, name, &Architecture::theirs);
  if (it != kArchitectures.end()) return *it;
  std::string known;
  for (const Architecture& a : kArchitectures) known += (known.empty() ? "" : ", ") + std::string(a.theirs);
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

// A number that newer configs keep in rope_parameters.
double rope_theta(const JsonObject& config) {
  if (config.has("rope_theta")) return config.number("rope_theta");
  return config.has("rope_parameters") ? config.object("rope_parameters").number_or("rope_theta", 10000) : 10000;
}

void add_text_sizes(const JsonObject& config, const std::string& name, GgufPairs& out) {
  const auto count = [&](const char* key, const char* theirs) {
    if (config.has(theirs))
      out.emplace_back(name + key, GgufValue::u32(static_cast<uint32_t>(config.size(theirs, 0, INT32_MAX))));
  };
  count(".context_length", "max_position_embeddings");
  count(".embedding_length", "hidden_size");
  count(".block_count", "num_hidden_layers");
  count(".feed_forward_length", "intermediate_size");
  count(".attention.head_count", "num_attention_heads");
  count(".attention.head_count_kv", "num_key_value_heads");
  count(".expert_count", "num_experts");
  count(".expert_used_count", "num_experts_per_tok");
  count(".expert_feed_forward_length", "moe_intermediate_size");
  count(".vocab_size", "vocab_size");
  const int64_t heads = config.size("num_attention_heads", 1, 1 << 20);
  const int64_t head =
      config.has("head_dim") ? config.size("head_dim", 1, 1 << 20) : config.size("hidden_size", 1, 1 << 30) / heads;
  out.emplace_back(name + ".attention.key_length", GgufValue::u32(static_cast<uint32_t>(head)));
  out.emplace_back(name + ".attention.value_length", GgufValue::u32(static_cast<uint32_t>(head)));
  out.emplace_back(name + ".rope.dimension_count", GgufValue::u32(static_cast<uint32_t>(head)));
  out.emplace_back(name + ".rope.freq_base", GgufValue::f32(static_cast<float>(rope_theta(config))));
  out.emplace_back(name + ".attention.layer_norm_rms_epsilon",
                   GgufValue::f32(static_cast<float>(config.number_or("rms_norm_eps", 1e-6))));
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

GgufPairs gguf_metadata(const fs::path& folder, const JsonObject& config, GgmlType type,
                        std::vector<std::string>& notes) {
  const Architecture& architecture = find_architecture(config);
  const std::string name(architecture.gguf);
  GgufPairs out = {{"general.architecture", GgufValue::text(name)},
                   {"general.type", GgufValue::text("model")},
                   {"general.name", GgufValue::text(fs::canonical(folder).filename().string())},
                   {"general.file_type", GgufValue::u32(file_type(type))},
                   {"general.quantization_version", GgufValue::u32(2)}};
  if (architecture.pre_tokenizer.empty()) return out;
  add_text_sizes(config, name, out);
  const fs::path tokenizer = folder / "tokenizer.json";
  std::error_code failed;
  if (!fs::exists(tokenizer, failed)) {
    notes.push_back("the model has no tokenizer.json: the file has no tokenizer");
  } else {
    GgufPairs keys;
    try {
      if (!add_tokenizer(tokenizer, config, architecture.pre_tokenizer, keys)) {
        notes.push_back("tokenizer.json is no byte-level BPE: the file has no tokenizer");
      }
    } catch (const nlohmann::json::exception& e) {
      throw Error(tokenizer.string(), std::string("has no vocabulary that can be read: ") + e.what(),
                  "a tokenizer.json of transformers");
    }
    for (auto& pair : keys) out.push_back(std::move(pair));
  }
  return out;
}

}  // namespace omni
