#include "quant/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <memory>
#include <span>

#include "base/error.h"
#include "quant/config.h"

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
  const uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED;
  Regex code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), options, &failure, &at, nullptr));
  if (code == nullptr) {
    char reason[160] = "";
    pcre2_get_error_message(failure, reinterpret_cast<PCRE2_UCHAR*>(reason), sizeof reason);
    throw usage_error(where,
                      "'" + std::string(text) + "' is no regular expression: " + reason + " at " + std::to_string(at),
                      "a PCRE2 expression after re:");
  }
  return code;
}

bool matches_whole(const pcre2_code* code, std::string_view text) {
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(pcre2_match_data_create_from_pattern(code, nullptr));
  return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(), nullptr) >= 0;
}

using Segments = std::span<const std::string_view>;

// The number of path segments that the pattern takes at least, or -1 when it does not match from the first one on.
int shortest(Segments pattern, Segments path) {
  if (pattern.empty()) return 0;
  if (pattern[0] == "**") {
    for (size_t skip = 0; skip <= path.size(); ++skip) {
      const int rest = shortest(pattern.subspan(1), path.subspan(skip));
      if (rest >= 0) return static_cast<int>(skip) + rest;
    }
    return -1;
  }
  if (path.empty() || (pattern[0] != "*" && pattern[0] != path[0])) return -1;
  const int rest = shortest(pattern.subspan(1), path.subspan(1));
  return rest < 0 ? -1 : rest + 1;
}

bool is_wildcard(std::string_view segment) {
  return segment == "*" || segment == "**";
}

std::optional<PatternMatch> match_regex(std::string_view text, std::string_view path) {
  const Regex code = compile(text, "pattern");
  int depth = 0;
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('.', end + 1), path.size());
    ++depth;
    if (matches_whole(code.get(), path.substr(0, end))) return PatternMatch{depth, 0, -1};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string_view> path_segments(std::string_view path) {
  std::vector<std::string_view> out;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    out.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::optional<PatternMatch> match_pattern(std::string_view pattern, std::string_view path,
                                          const std::vector<std::string>& components) {
  if (pattern.starts_with(kRegexPrefix)) return match_regex(pattern.substr(kRegexPrefix.size()), path);
  const std::vector<std::string_view> names = path_segments(path);
  std::vector<std::string_view> wanted = path_segments(pattern);
  const bool anywhere = wanted.size() == 1 && !is_wildcard(pattern) && !std::ranges::count(components, pattern);
  if (anywhere) wanted.insert(wanted.begin(), "**");
  const int depth = shortest(wanted, names);
  if (depth < 0) return std::nullopt;
  const auto wildcards = static_cast<int>(std::ranges::count_if(wanted, is_wildcard));
  return PatternMatch{depth, static_cast<int>(wanted.size()) - wildcards, -wildcards};
}

void check_pattern(std::string_view pattern, const std::string& where) {
  if (pattern.starts_with(kRegexPrefix)) {
    (void)compile(pattern.substr(kRegexPrefix.size()), where);
    return;
  }
  for (const std::string_view segment : path_segments(pattern)) {
    if (segment.empty()) {
      throw usage_error(where, "the pattern '" + std::string(pattern) + "' has an empty segment",
                        "names joined by single dots");
    }
    if (!is_wildcard(segment) && segment.find_first_of("*?[") != std::string_view::npos) {
      throw usage_error(where, "the pattern '" + std::string(pattern) + "' has a wildcard inside a name",
                        "* for one whole segment, ** for any number, or re: and a regular expression");
    }
  }
}

std::string pattern_below(std::string_view component, std::string_view pattern) {
  const std::string root(component);
  if (root.empty() || pattern == component || pattern.starts_with(root + ".")) return std::string(pattern);
  if (pattern.starts_with(kRegexPrefix)) {
    const std::string text(pattern.substr(kRegexPrefix.size())), quoted = "\\Q" + root + "\\E";
    return "re:(?=" + quoted + "(?:\\.|$))(?:" + text + ")|" + quoted + "\\.(?:" + text + ")";
  }
  const bool dotted = pattern.find('.') != std::string_view::npos;
  return root + (dotted ? "." : ".**.") + std::string(pattern);
}

bool pattern_matches(std::string_view pattern, std::string_view path, const std::vector<std::string>& components) {
  return match_pattern(pattern, path, components).has_value();
}

}  // namespace omni
