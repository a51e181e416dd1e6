#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/error.h"
#include "text/tokenizer_files.h"

namespace omni {
namespace {

[[noreturn]] void refuse(const JsonObject& component, const std::string& what, const std::string& expected) {
  throw Error(component.where(), what + " is not supported", expected);
}

// Items of a list of objects, each with its place in its name.
std::vector<JsonObject> objects(const JsonObject& parent, const std::string& key) {
  const auto it = parent.value().find(key);
  if (it == parent.value().end() || !it->is_array())
    throw Error(parent.where() + ": " + key, "is missing or no list", "a list of objects");
  std::vector<JsonObject> items;
  for (size_t i = 0; i < it->size(); ++i)
    items.push_back(JsonObject::parse((*it)[i].dump(), parent.where() + ": " + key + "[" + std::to_string(i) + "]"));
  return items;
}

std::variant<Regex, std::string> read_pattern(const JsonObject& component) {
  const JsonObject pattern = component.object("pattern");
  if (pattern.has("Regex")) return Regex(pattern.string("Regex"), pattern.where());
  return pattern.string("String");
}

void add_normalizer(const JsonObject& component, std::vector<Normalizer>& out) {
  const std::string type = component.string("type");
  if (type == "Sequence") {
    for (const JsonObject& part : objects(component, "normalizers")) add_normalizer(part, out);
  } else if (type == "Lowercase") {
    out.emplace_back(Lowercase{});
  } else if (type == "NFC") {
    out.emplace_back(UnicodeForm::kNfc);
  } else if (type == "NFKC") {
    out.emplace_back(UnicodeForm::kNfkc);
  } else if (type == "Precompiled") {
    const std::string where = component.where() + ": precompiled_charsmap";
    const std::string map = base64_decode(component.string_or("precompiled_charsmap", ""), where);
    if (!map.empty()) out.emplace_back(Charsmap(map, where));
  } else if (type == "Replace") {
    out.emplace_back(Replace{read_pattern(component), component.string("content")});
  } else if (type == "Strip") {
    out.emplace_back(Strip{component.boolean_or("strip_left", false), component.boolean_or("strip_right", false)});
  } else {
    refuse(component, "the normalizer '" + type + "'",
           "Lowercase, NFC, NFKC, Precompiled, Replace, Strip or a Sequence of them");
  }
}

Split read_split(const JsonObject& component) {
  const std::string behavior = component.string("behavior");
  if (behavior != "Isolated" && behavior != "Removed")
    refuse(component, "the split behavior '" + behavior + "'", "Isolated or Removed");
  return Split{read_pattern(component), behavior == "Removed" ? Split::Behavior::kRemoved : Split::Behavior::kIsolated,
               component.boolean_or("invert", false)};
}

ByteLevel read_byte_level(const JsonObject& component) {
  ByteLevel level;
  level.add_prefix_space = component.boolean_or("add_prefix_space", true);
  if (component.boolean_or("use_regex", true)) level.words = byte_level_words();
  return level;
}

// Older files say add_prefix_space where newer ones say prepend_scheme.
Metaspace read_metaspace(const JsonObject& component) {
  const std::string scheme =
      component.string_or("prepend_scheme", component.boolean_or("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "never")
    refuse(component, "the prepend_scheme '" + scheme + "'", "always or never");
  const std::string replacement = component.string("replacement");
  if (replacement.empty()) throw Error(component.where() + ": replacement", "is empty", "one character");
  return Metaspace{replacement, scheme == "always", component.boolean_or("split", true)};
}

void add_pre_tokenizer(const JsonObject& component, std::vector<PreTokenizer>& out) {
  const std::string type = component.string("type");
  if (type == "Sequence") {
    for (const JsonObject& part : objects(component, "pretokenizers")) add_pre_tokenizer(part, out);
  } else if (type == "ByteLevel") {
    out.emplace_back(read_byte_level(component));
  } else if (type == "Metaspace") {
    out.emplace_back(read_metaspace(component));
  } else if (type == "Split") {
    out.emplace_back(read_split(component));
  } else if (type == "WhitespaceSplit") {
    out.emplace_back(WhitespaceSplit{});
  } else {
    refuse(component, "the pre-tokenizer '" + type + "'",
           "ByteLevel, Metaspace, Split, WhitespaceSplit or a Sequence of them");
  }
}

}  // namespace

std::vector<Normalizer> read_normalizers(const JsonObject& file) {
  std::vector<Normalizer> normalizers;
  if (file.has("normalizer")) add_normalizer(file.object("normalizer"), normalizers);
  return normalizers;
}

std::vector<PreTokenizer> read_pre_tokenizers(const JsonObject& file) {
  std::vector<PreTokenizer> pre_tokenizers;
  if (file.has("pre_tokenizer")) add_pre_tokenizer(file.object("pre_tokenizer"), pre_tokenizers);
  return pre_tokenizers;
}

}  // namespace omni
