#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// A stretch of a text: one match, or what lies between two.
struct Stretch {
  std::string_view text;
  bool matched = false;
};

// A compiled regular expression of a tokenizer file (PCRE2, UTF). Cheap to copy, usable from several threads.
class Regex {
 public:
  // Throws Error (where: the name it carries) when the pattern does not compile.
  Regex(std::string_view pattern, std::string where);

  // The whole text as matches and the non-empty stretches between them, in order. The views look into text. Throws
  // Error when the match runs out of its limits.
  std::vector<Stretch> split(std::string_view text) const;

 private:
  std::shared_ptr<const void> code_;
  std::string where_;
};

// The same for a plain text.
std::vector<Stretch> split_at(std::string_view text, std::string_view separator);

}  // namespace omni
