#include "text/unicode.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"

namespace omni {
namespace {

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

}  // namespace

void check_utf8(std::string_view text, const std::string& where) {
  for (size_t i = 0; i < text.size();) {
    utf8proc_int32_t code_point = 0;
    const auto left = static_cast<utf8proc_ssize_t>(text.size() - i);
    const utf8proc_ssize_t used = utf8proc_iterate(bytes_of(text) + i, left, &code_point);
    if (used <= 0) throw usage_error(where, "is not UTF-8 at byte " + std::to_string(i), "UTF-8 text");
    i += static_cast<size_t>(used);
  }
}

CodePoint first_code_point(std::string_view text) {
  utf8proc_int32_t code_point = 0;
  const utf8proc_ssize_t used =
      utf8proc_iterate(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &code_point);
  if (used <= 0) return {0xfffd, 1};
  return {static_cast<char32_t>(code_point), static_cast<size_t>(used)};
}

CodePoint last_code_point(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return first_code_point(text.substr(begin));
}

void append_utf8(std::string& text, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
}

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_word(char32_t c) {
  if (c == 0x200c || c == 0x200d) return true;                           // the joiners
  if ((c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||  // letters in circles and squares
      (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189))
    return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

size_t space_bytes_at_start(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const CodePoint c = first_code_point(text.substr(bytes));
    if (!is_white_space(c.value)) break;
    bytes += c.bytes;
  }
  return bytes;
}

size_t space_bytes_at_end(std::string_view text) {
  size_t bytes = 0;
  while (bytes < text.size()) {
    const CodePoint c = last_code_point(text.substr(0, text.size() - bytes));
    if (!is_white_space(c.value)) break;
    bytes += c.bytes;
  }
  return bytes;
}

std::string to_lower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    // The only character whose lower case is two characters whatever stands around it.
    if (c.value == 0x130) {
      lower += "i\u0307";
    } else {
      append_utf8(lower, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value))));
    }
    text.remove_prefix(c.bytes);
  }
  return lower;
}

std::string to_form(std::string_view text, UnicodeForm form) {
  unsigned options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  if (form == UnicodeForm::kNfkc) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(bytes_of(text), static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                                             static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (size < 0) throw Error("Unicode normalization", utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

size_t first_grapheme_bytes(std::string_view text) {
  utf8proc_int32_t state = 0;
  CodePoint before = first_code_point(text);
  size_t bytes = before.bytes;
  while (bytes < text.size()) {
    const CodePoint next = first_code_point(text.substr(bytes));
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state) != 0)
      break;
    bytes += next.bytes;
    before = next;
  }
  return bytes;
}

}  // namespace omni
