#include "text/charsmap.h"

#include <cstring>

#include "base/error.h"
#include "text/unicode.h"

namespace omni {
namespace {

// The bit fields of a unit of a Darts-clone double array.
bool has_leaf(uint32_t unit) {
  return (unit >> 8 & 1) != 0;
}
uint32_t value_of(uint32_t unit) {
  return unit & 0x7fffffffu;
}
uint32_t label_of(uint32_t unit) {
  return unit & 0x800000ffu;
}
uint32_t offset_of(uint32_t unit) {
  return (unit >> 10) << ((unit & 0x200u) >> 6);
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
  uint32_t trie_bytes = 0;
  if (bytes.size() >= sizeof(trie_bytes)) std::memcpy(&trie_bytes, bytes.data(), sizeof(trie_bytes));
  if (bytes.size() < sizeof(trie_bytes) || trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > bytes.size() - 4) {
    throw Error(where, "has a trie of " + std::to_string(trie_bytes) + " bytes in " + std::to_string(bytes.size()),
                "a trie of whole 4-byte units inside");
  }
  trie_.resize(trie_bytes / 4);
  std::memcpy(trie_.data(), bytes.data() + 4, trie_bytes);
  pool_ = bytes.substr(4 + trie_bytes);
}

std::optional<std::string_view> Charsmap::find(std::string_view key) const {
  size_t node = offset_of(trie_[0]);
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) break;
    node ^= byte;
    if (node >= trie_.size() || label_of(trie_[node]) != byte) break;
    const uint32_t unit = trie_[node];
    node ^= offset_of(unit);
    if (node >= trie_.size()) break;
    if (has_leaf(unit)) {
      const size_t begin = value_of(trie_[node]);
      if (begin > pool_.size()) break;
      const std::string_view rest = std::string_view(pool_).substr(begin);
      return rest.substr(0, rest.find('\0'));
    }
  }
  return std::nullopt;
}

std::string Charsmap::apply(std::string_view text) const {
  constexpr size_t kLongGrapheme = 6;
  std::string out;
  while (!text.empty()) {
    std::string_view grapheme = text.substr(0, first_grapheme_bytes(text));
    text.remove_prefix(grapheme.size());
    if (grapheme.size() < kLongGrapheme) {
      if (const auto replacement = find(grapheme)) {
        out += *replacement;
        continue;
      }
    }
    while (!grapheme.empty()) {
      const std::string_view character = grapheme.substr(0, first_code_point(grapheme).bytes);
      out += find(character).value_or(character);
      grapheme.remove_prefix(character.size());
    }
  }
  return out;
}

}  // namespace omni
