#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace omni {

// What tokenizers need to know of Unicode; all texts are valid UTF-8 but for check_utf8.

// Throws a usage Error (where: what the text is) that names the first bad byte.
void check_utf8(std::string_view text, const std::string& where);

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 0;
};
CodePoint first_code_point(std::string_view text);  // of a text that is not empty
CodePoint last_code_point(std::string_view text);   // of a text that is not empty
void append_utf8(std::string& text, char32_t code_point);

bool is_white_space(char32_t code_point);  // the White_Space property
bool is_word(char32_t code_point);         // letters, marks, digits, connectors, joiners: \w of Unicode
// Bytes of white space that text begins or ends with.
size_t space_bytes_at_start(std::string_view text);
size_t space_bytes_at_end(std::string_view text);
std::string to_lower(std::string_view text);

enum class UnicodeForm : uint8_t { kNfc, kNfkc };
std::string to_form(std::string_view text, UnicodeForm form);

// Bytes of the first extended grapheme cluster of a text that is not empty.
size_t first_grapheme_bytes(std::string_view text);

}  // namespace omni
