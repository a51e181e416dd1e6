#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// The character map of a SentencePiece model ("Precompiled" in tokenizer.json): a double-array trie from UTF-8 keys to
// offsets into a pool of zero-terminated replacements. A value; its bytes are foreign, so every step is checked.
class Charsmap {
 public:
  // bytes: u32 size of the trie, the trie (u32 units, little endian), the pool. Throws Error when the sizes lie.
  Charsmap(std::string_view bytes, const std::string& where);

  // Grapheme by grapheme where those are short, else character by character, as the tokenizers library does.
  std::string apply(std::string_view text) const;

 private:
  std::optional<std::string_view> find(std::string_view key) const;  // of the shortest key that key starts with
  std::vector<uint32_t> trie_;
  std::string pool_;
};

}  // namespace omni
