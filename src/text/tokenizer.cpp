#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "text/tokenizer_files.h"

namespace omni {
namespace {

void encode_words(const TokenizerParts& parts, std::string_view text, std::vector<int32_t>& ids) {
  for (const std::string& word : pre_tokenize(parts.pre_tokenizers, text))
    std::visit([&](const auto& model) { model.encode(word, ids); }, parts.model);
}

std::vector<int32_t> text_ids(const TokenizerParts& parts, std::string_view text) {
  std::vector<int32_t> ids;
  for (const TextPart& raw : parts.raw_added.split(text)) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    const std::string normalized = normalize(parts.normalizers, raw.text);
    for (const TextPart& part : parts.normalized_added.split(normalized)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
      } else {
        encode_words(parts, part.text, ids);
      }
    }
  }
  return ids;
}

TokenizerParts load_parts(const std::filesystem::path& folder, const TokenizerConfig& config) {
  const auto has = [&](const char* name) { return std::filesystem::exists(folder / name); };
  if (has("tokenizer.json")) return load_tokenizer_json(folder / "tokenizer.json");
  if (has("vocab.json") && has("merges.txt")) return load_clip_files(folder, config);
  if (has("spiece.model")) return load_sentencepiece(folder / "spiece.model", config);
  throw Error(folder.string(), "holds no tokenizer", "tokenizer.json, vocab.json with merges.txt, or spiece.model");
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  const TokenizerConfig config(folder);
  TokenizerParts parts = load_parts(folder, config);
  parts.max_tokens = config.max_tokens;
  if (config.pad_token.has_value()) {
    parts.pad_id = find_token(parts, *config.pad_token);
    if (parts.pad_id < 0)
      throw Error((folder / "tokenizer_config.json").string() + ": pad_token", "is '" + *config.pad_token + "'",
                  "a token of the vocabulary");
  }
  return Tokenizer(std::make_shared<const TokenizerParts>(std::move(parts)));
}

Encoded Tokenizer::encode(std::string_view text, int64_t max_tokens, PadTo pad) const {
  check_utf8(text, "prompt");
  const auto special = static_cast<int64_t>(parts_->prefix.size() + parts_->suffix.size());
  if (max_tokens < special) {
    throw usage_error("max_tokens", "is " + std::to_string(max_tokens),
                      "at least the " + std::to_string(special) + " special tokens");
  }
  const std::vector<int32_t> ids = text_ids(*parts_, text);
  const int64_t kept = std::min<int64_t>(static_cast<int64_t>(ids.size()), max_tokens - special);
  Encoded out;
  out.dropped = static_cast<int64_t>(ids.size()) - kept;
  out.ids = parts_->prefix;
  out.ids.insert(out.ids.end(), ids.begin(), ids.begin() + kept);
  out.ids.insert(out.ids.end(), parts_->suffix.begin(), parts_->suffix.end());
  if (pad == PadTo::kWindow && static_cast<int64_t>(out.ids.size()) < max_tokens) {
    if (parts_->pad_id < 0) throw Error("tokenizer_config.json: pad_token", "is missing", "the token to pad with");
    out.ids.resize(static_cast<size_t>(max_tokens), parts_->pad_id);
  }
  return out;
}

int64_t Tokenizer::model_max_tokens() const {
  return parts_->max_tokens;
}
int64_t Tokenizer::vocab_size() const {
  return parts_->vocab_size;
}
int32_t Tokenizer::pad_id() const {
  return parts_->pad_id;
}

}  // namespace omni
