#include "text/normalizer.h"

namespace omni {
namespace {

std::string_view stripped(std::string_view text, const Strip& ends) {
  if (ends.left) text.remove_prefix(space_bytes_at_start(text));
  if (ends.right) text.remove_suffix(space_bytes_at_end(text));
  return text;
}

struct Apply {
  std::string_view text;

  std::string operator()(const Charsmap& map) const { return map.apply(text); }
  std::string operator()(const Lowercase&) const { return to_lower(text); }
  std::string operator()(const Strip& ends) const { return std::string(stripped(text, ends)); }
  std::string operator()(const UnicodeForm& form) const { return to_form(text, form); }
  std::string operator()(const Replace& replace) const {
    const auto* regex = std::get_if<Regex>(&replace.pattern);
    const auto stretches =
        regex != nullptr ? regex->split(text) : split_at(text, std::get<std::string>(replace.pattern));
    std::string out;
    for (const Stretch& stretch : stretches) out += stretch.matched ? std::string_view(replace.content) : stretch.text;
    return out;
  }
};

}  // namespace

std::string normalize(const std::vector<Normalizer>& normalizers, std::string_view text) {
  std::string out(text);
  for (const Normalizer& normalizer : normalizers) out = std::visit(Apply{out}, normalizer);
  return out;
}

}  // namespace omni
