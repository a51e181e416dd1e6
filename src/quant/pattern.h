#pragma once
#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// How specific a pattern's match of a path is; greater wins, equal ones are a tie.
struct PatternMatch {
  int depth = 0;            // segments of the shortest module path that matches: what the pattern names
  int literals = 0;         // segments of the pattern that are plain names
  int fewer_wildcards = 0;  // minus the number of wildcards
  auto operator<=>(const PatternMatch&) const = default;
};

// The match of a pattern (spec section 1, Patterns) with a module path or anything below it. components: names that
// stand for a whole component; another pattern without a dot matches any segment.
std::optional<PatternMatch> match_pattern(std::string_view pattern, std::string_view path,
                                          const std::vector<std::string>& components);

// Throws a usage Error naming where for an empty segment, a `*` inside a name or a bad regular expression.
void check_pattern(std::string_view pattern, const std::string& where);

// The pattern confined to one component: a name without a dot anywhere below it, a dotted one from its root.
std::string pattern_below(std::string_view component, std::string_view pattern);

std::vector<std::string_view> path_segments(std::string_view path);

}  // namespace omni
