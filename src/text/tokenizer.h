#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace omni {

struct TokenizerParts;

// kWindow: pad with the pad token to max_tokens; kNothing: as many ids as the text has.
enum class PadTo : uint8_t { kNothing, kWindow };

struct Encoded {
  std::vector<int32_t> ids;  // with the special tokens of the post-processor
  int64_t dropped = 0;       // tokens of the text that the window had no room for; the caller warns
};

// Text to token ids, as the folder's files say: tokenizer.json, else vocab.json + merges.txt (CLIP), else spiece.model
// (T5). Cheap to copy, immutable, usable from several threads. A bad file or an unsupported component is an Error
// that names it.
class Tokenizer {
 public:
  static Tokenizer load(const std::filesystem::path& folder);

  // text: UTF-8, else a usage Error. A text that is too long loses its end but keeps the special tokens.
  // max_tokens: the window, at least the number of special tokens.
  Encoded encode(std::string_view text, int64_t max_tokens, PadTo pad) const;

  int64_t model_max_tokens() const;  // model_max_length of tokenizer_config.json; INT32_MAX when it sets no limit
  int64_t vocab_size() const;        // largest id + 1: the rows that an embedding must have
  int32_t pad_id() const;            // -1 when the folder names no pad token

 private:
  explicit Tokenizer(std::shared_ptr<const TokenizerParts> parts);
  std::shared_ptr<const TokenizerParts> parts_;
};

}  // namespace omni
