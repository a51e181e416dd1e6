#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// A token that is taken from the text as it stands, before (or, when normalized, after) the text is normalized.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // swallows the white space after it
  bool normalized = false;
};

// A part of a text: an added token's id, or text for the model (id -1).
struct TextPart {
  std::string_view text;
  int32_t id = -1;
};

// Finds added tokens in a text: leftmost first, the longest of those that begin at one place.
class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);

  std::vector<TextPart> split(std::string_view text) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;
  std::vector<AddedToken> tokens_;                          // longest first
  std::array<std::vector<uint32_t>, 256> by_first_byte_{};  // indices into tokens_
};

}  // namespace omni
