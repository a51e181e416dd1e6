#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "text/tokenizer_parts.h"

namespace omni {

// tokenizer_config.json (and special_tokens_map.json, which it overrides); everything is optional.
struct TokenizerConfig {
  explicit TokenizerConfig(const std::filesystem::path& folder);

  std::optional<std::string> bos_token, eos_token, pad_token, unk_token;
  int64_t max_tokens = std::numeric_limits<int32_t>::max();
  int64_t extra_ids = 0;
};

// One loader a spelling. Each leaves max_tokens and pad_id to the caller. Throws Error that names the file and key.
TokenizerParts load_tokenizer_json(const std::filesystem::path& path);
TokenizerParts load_clip_files(const std::filesystem::path& folder, const TokenizerConfig& config);
TokenizerParts load_sentencepiece(const std::filesystem::path& path, const TokenizerConfig& config);

// The components of a tokenizer.json, in tokenizer_components.cpp.
std::vector<Normalizer> read_normalizers(const JsonObject& file);
std::vector<PreTokenizer> read_pre_tokenizers(const JsonObject& file);

// The id of a token: a special one, else one of the model's vocabulary; -1 when neither has it.
int32_t find_token(const TokenizerParts& parts, const std::string& token);

}  // namespace omni
