#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/regex.h"

namespace omni {

// The pre-tokenizers of a tokenizer.json: each a value that cuts a piece of text into the words that a model sees.
struct WhitespaceSplit {};

struct Split {
  std::variant<Regex, std::string> pattern;
  enum class Behavior : uint8_t { kIsolated, kRemoved } behavior = Behavior::kIsolated;
  bool invert = false;  // the pattern says what is between the separators
};

// GPT-2's printable character for each byte, in UTF-8.
std::array<std::string, 256> byte_alphabet();
// GPT-2's word pattern, which ByteLevel's use_regex means.
Regex byte_level_words();

// Bytes become the printable characters that GPT-2 gave them.
struct ByteLevel {
  bool add_prefix_space = false;
  std::optional<Regex> words;  // byte_level_words, when use_regex is set
  std::array<std::string, 256> alphabet = byte_alphabet();
};

// Spaces become the replacement character, and words begin with it.
struct Metaspace {
  std::string replacement;
  bool prepend = true;
  bool split = true;
};

using PreTokenizer = std::variant<ByteLevel, Metaspace, Split, WhitespaceSplit>;

// One after the other; no empty words.
std::vector<std::string> pre_tokenize(const std::vector<PreTokenizer>& pre_tokenizers, std::string_view text);

}  // namespace omni
