#include "text/pre_tokenizer.h"

#include <array>
#include <utility>

#include "text/unicode.h"

namespace omni {
namespace {

using Words = std::vector<std::string>;

void add(Words& words, std::string_view text) {
  if (!text.empty()) words.emplace_back(text);
}

// Cuts one word into the words of the next stage.
struct Cut {
  std::string_view text;
  Words& words;

  void operator()(const WhitespaceSplit&) const {
    size_t begin = 0;
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = first_code_point(text.substr(i));
      if (is_white_space(c.value)) {
        add(words, text.substr(begin, i - begin));
        begin = i + c.bytes;
      }
      i += c.bytes;
    }
    add(words, text.substr(begin));
  }

  void operator()(const Split& split) const {
    const auto* regex = std::get_if<Regex>(&split.pattern);
    for (const Stretch& stretch :
         regex != nullptr ? regex->split(text) : split_at(text, std::get<std::string>(split.pattern))) {
      const bool separator = stretch.matched != split.invert;
      if (split.behavior == Split::Behavior::kIsolated || !separator) add(words, stretch.text);
    }
  }

  void operator()(const ByteLevel& level) const {
    const std::string prefixed = level.add_prefix_space && text.front() != ' ' ? " " + std::string(text) : "";
    const std::string_view whole = prefixed.empty() ? text : prefixed;
    const auto stretches = level.words.has_value() ? level.words->split(whole) : std::vector<Stretch>{{whole, true}};
    for (const Stretch& stretch : stretches) {
      std::string word;
      for (const char byte : stretch.text) word += level.alphabet[static_cast<unsigned char>(byte)];
      add(words, word);
    }
  }

  void operator()(const Metaspace& space) const {
    std::string marked;
    for (const Stretch& stretch : split_at(text, " "))
      marked += stretch.matched ? std::string_view(space.replacement) : stretch.text;
    if (space.prepend && !marked.starts_with(space.replacement)) marked.insert(0, space.replacement);
    size_t begin = 0;
    while (space.split) {
      const size_t next = marked.find(space.replacement, begin + 1);
      if (next == std::string::npos) break;
      add(words, std::string_view(marked).substr(begin, next - begin));
      begin = next;
    }
    add(words, std::string_view(marked).substr(begin));
  }
};

}  // namespace

// Printable Latin-1 bytes stand for themselves, the others for the code points from 256 on.
std::array<std::string, 256> byte_alphabet() {
  std::array<std::string, 256> alphabet;
  char32_t next = 256;
  for (size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    append_utf8(alphabet[byte], printable ? static_cast<char32_t>(byte) : next++);
  }
  return alphabet;
}

Regex byte_level_words() {
  return Regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "ByteLevel");
}

std::vector<std::string> pre_tokenize(const std::vector<PreTokenizer>& pre_tokenizers, std::string_view text) {
  Words words;
  add(words, text);
  for (const PreTokenizer& pre_tokenizer : pre_tokenizers) {
    Words next;
    for (const std::string& word : words) std::visit(Cut{word, next}, pre_tokenizer);
    words = std::move(next);
  }
  return words;
}

}  // namespace omni
