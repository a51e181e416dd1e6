#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/charsmap.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace omni {

// The normalizers of a tokenizer.json: each a value that maps a text to a text.
struct Lowercase {};

struct Strip {  // white space at the ends
  bool left = false, right = false;
};

struct Replace {
  std::variant<Regex, std::string> pattern;
  std::string content;
};

using Normalizer = std::variant<Charsmap, Lowercase, Replace, Strip, UnicodeForm>;

// One after the other.
std::string normalize(const std::vector<Normalizer>& normalizers, std::string_view text);

}  // namespace omni
