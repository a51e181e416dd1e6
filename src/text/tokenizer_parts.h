#pragma once
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/sentencepiece_model.h"
#include "text/unigram.h"

namespace omni {

// What a tokenizer does, in order: added tokens out of the raw text, normalizers, added tokens out of the normalized
// text, pre-tokenizers, the model a word, prefix and suffix around all.
struct TokenizerParts {
  using Model = std::variant<Bpe, SentencePieceModel, Unigram>;
  explicit TokenizerParts(Model words_model) : model(std::move(words_model)) {}

  AddedTokens raw_added;
  AddedTokens normalized_added;
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  Model model;
  std::vector<int32_t> prefix, suffix;
  TokenIds special_ids;  // added tokens by their text
  int64_t vocab_size = 0;
  int64_t max_tokens = std::numeric_limits<int32_t>::max();
  int32_t pad_id = -1;
};

}  // namespace omni
