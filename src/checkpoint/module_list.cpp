#include "checkpoint/module_list.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace omni {
namespace {

constexpr std::string_view kRegexPrefix = "re:";

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
using Regex = std::unique_ptr<pcre2_code, FreeCode>;

Regex compile(std::string_view text, const std::string& where) {
  int failure = 0;
  PCRE2_SIZE at = 0;
  const auto* bytes = reinterpret_cast<PCRE2_SPTR>(text.data());
  Regex code(pcre2_compile(bytes, text.size(), PCRE2_UTF | PCRE2_ANCHORED, &failure, &at, nullptr));
  if (code == nullptr) {
    std::array<PCRE2_UCHAR, 160> reason{};
    pcre2_get_error_message(failure, reason.data(), reason.size());
    throw Error(where,
                "'" + std::string(text) + "' is no regular expression: " + reinterpret_cast<char*>(reason.data()) +
                    " at " + std::to_string(at),
                "an expression after re:");
  }
  return code;
}

// `*` and `?` as a regular expression that must match to the end.
std::string regex_of_wildcards(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '*') {
      out += ".*";
    } else if (c == '?') {
      out += '.';
    } else {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') out += '\\';
      out += c;
    }
  }
  return out + "$";
}

// The name without the segments that the same module may or may not have.
std::string without_wrappers(std::string_view name) {
  std::string out;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    const std::string_view segment = name.substr(begin, end - begin);
    if (segment != "model" && segment != "language_model") out += (out.empty() ? "" : ".") + std::string(segment);
    begin = end + 1;
  }
  return out;
}

// True when part is a run of whole segments of name.
bool has_segments(std::string_view name, std::string_view part) {
  for (size_t at = name.find(part); at != std::string_view::npos; at = name.find(part, at + 1)) {
    const size_t end = at + part.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

}  // namespace

struct ModuleList::Pattern {
  Regex code;

  bool matches(std::string_view text) const {
    const std::unique_ptr<pcre2_match_data, FreeMatch> data(pcre2_match_data_create_from_pattern(code.get(), nullptr));
    const auto* bytes = reinterpret_cast<PCRE2_SPTR>(text.data());
    return pcre2_match(code.get(), bytes, text.size(), 0, 0, data.get(), nullptr) >= 0;
  }
};

ModuleList::ModuleList(const std::vector<std::string>& entries, Kind kind, const std::string& where) : kind_(kind) {
  for (const std::string& entry : entries) {
    const std::string_view text = entry;
    if (text.starts_with(kRegexPrefix)) {
      patterns_.push_back(std::make_shared<const Pattern>(Pattern{compile(text.substr(kRegexPrefix.size()), where)}));
    } else if (kind == Kind::kWildcards && text.find_first_of("*?") != std::string_view::npos) {
      patterns_.push_back(std::make_shared<const Pattern>(Pattern{compile(regex_of_wildcards(text), where)}));
    } else if (!text.empty()) {
      names_.insert(entry);
      std::string loose = without_wrappers(text);
      if (!loose.empty()) loose_.push_back(std::move(loose));
    }
  }
}

NameMatch ModuleList::match(std::string_view module) const {
  if (names_.contains(module)) return NameMatch::kExact;
  if (kind_ != Kind::kNames) {
    for (size_t dot = module.find('.'); dot != std::string_view::npos; dot = module.find('.', dot + 1)) {
      if (names_.contains(module.substr(0, dot)) || names_.contains(module.substr(dot + 1))) return NameMatch::kExact;
    }
  }
  const auto matches = [](std::string_view text) {
    return [text](const std::shared_ptr<const Pattern>& pattern) { return pattern->matches(text); };
  };
  if (std::ranges::any_of(patterns_, matches(module))) return NameMatch::kExact;
  const std::string plain = loose_.empty() ? std::string() : without_wrappers(module);
  for (const std::string& entry : loose_) {
    if (has_segments(plain, entry)) return NameMatch::kLoose;
  }
  if (patterns_.empty()) return NameMatch::kNone;
  for (size_t dot = module.find('.'); dot != std::string_view::npos; dot = module.find('.', dot + 1)) {
    if (std::ranges::any_of(patterns_, matches(module.substr(dot + 1)))) return NameMatch::kLoose;
  }
  return NameMatch::kNone;
}

bool names_linear(std::string_view module) {
  static constexpr std::array<std::string_view, 6> kOthers = {
      "gate", "relative_attention_bias", "router", "shared", "wpe", "wte"};
  std::string_view last = module.substr(module.rfind('.') + 1);
  if (std::ranges::all_of(last, [](unsigned char c) { return std::isdigit(c) != 0; }) && last.size() < module.size()) {
    module.remove_suffix(last.size() + 1);  // one of a list: "codec_embedding.0"
    last = module.substr(module.rfind('.') + 1);
  }
  if (std::ranges::find(kOthers, last) != kOthers.end()) return false;
  return last.find("embed") == std::string_view::npos || last.ends_with("embedder");
}

}  // namespace omni
