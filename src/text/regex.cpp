#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace omni {
namespace {

// In tokenizer files \s is Unicode's White_Space; PCRE2's adds U+180E, so the class is spelled out.
std::string with_unicode_spaces(std::string_view pattern) {
  static constexpr std::string_view kSpaces = "\\t-\\r \\x{85}\\p{Z}";
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      if (escaped == 's') {
        out += in_class ? std::string(kSpaces) : "[" + std::string(kSpaces) + "]";
      } else if (escaped == 'S' && !in_class) {
        out += "[^" + std::string(kSpaces) + "]";
      } else {
        out += {c, escaped};
      }
      continue;
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

std::string message_of(int code) {
  char text[160];
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof(text));
  return text;
}

struct MatchData {
  explicit MatchData(const pcre2_code* code) : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~MatchData() { pcre2_match_data_free(data); }
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
  pcre2_match_data* data;
};

}  // namespace

Regex::Regex(std::string_view pattern, std::string where) : where_(std::move(where)) {
  const std::string text = with_unicode_spaces(pattern);
  int code = 0;
  size_t offset = 0;
  pcre2_code* compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP,
                                       &code, &offset, nullptr);
  if (compiled == nullptr) {
    throw Error(where_, "regular expression '" + text.substr(0, 60) + "': " + message_of(code),
                "a regular expression that PCRE2 reads");
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without it the interpreter does the same
  code_ = std::shared_ptr<const void>(
      compiled, [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); });
}

std::vector<Stretch> Regex::split(std::string_view text) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const MatchData match(code);
  std::vector<Stretch> stretches;
  size_t done = 0, from = 0;
  while (from <= text.size()) {
    const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                   PCRE2_NO_UTF_CHECK, match.data, nullptr);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0) throw Error(where_, "regular expression gives up: " + message_of(result));
    const size_t* range = pcre2_get_ovector_pointer(match.data);
    const size_t begin = range[0], end = range[1];
    if (end > begin) {
      if (begin > done) stretches.push_back({text.substr(done, begin - done), false});
      stretches.push_back({text.substr(begin, end - begin), true});
      done = from = end;
    } else {
      if (end == text.size()) break;
      from = end + first_code_point(text.substr(end)).bytes;
    }
  }
  if (done < text.size()) stretches.push_back({text.substr(done), false});
  return stretches;
}

std::vector<Stretch> split_at(std::string_view text, std::string_view separator) {
  std::vector<Stretch> stretches;
  size_t done = 0;
  while (!separator.empty()) {
    const size_t begin = text.find(separator, done);
    if (begin == std::string_view::npos) break;
    if (begin > done) stretches.push_back({text.substr(done, begin - done), false});
    stretches.push_back({text.substr(begin, separator.size()), true});
    done = begin + separator.size();
  }
  if (done < text.size()) stretches.push_back({text.substr(done), false});
  return stretches;
}

}  // namespace omni
