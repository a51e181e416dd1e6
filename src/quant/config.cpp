#include "quant/config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "quant/method.h"
#include "quant/method_spec.h"
#include "quant/pattern.h"
#include "quant/stored_method.h"

namespace omni {
namespace {

using nlohmann::json;
using Kind = QuantRule::Kind;

const std::string kWhere = "quantization";

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void wrong(const std::string& key, const json& value, std::string expected) {
  throw usage_error(key, "is " + json_text(value), std::move(expected));
}

bool read_flag(const json& spec, const char* key) {
  const auto it = spec.find(key);
  if (it == spec.end()) return false;
  if (!it->is_boolean()) wrong(kWhere + ": " + key, *it, "true or false");
  return it->get<bool>();
}

bool is_method_spec(const json& spec) {
  return spec.contains("method") || spec.contains("quant_method") || is_modelopt_metadata(spec);
}

std::string first_segment(const std::string& path) {
  return path.substr(0, path.find('.'));
}

// A component map, nested to any depth: paths join with dots.
class ComponentMap {
 public:
  ComponentMap(const QuantConfigOptions& options, QuantConfig& config) : options_(options), config_(config) {}

  void read(const json& map, const std::string& above) {
    const std::string where = above.empty() ? kWhere : kWhere + ": " + above;
    if (map.empty()) throw usage_error(where, "is {}, which says nothing", "a method key or a map of components");
    for (const auto& [key, value] : map.items()) {
      if (above.empty() && (key == "requantize" || key == "dequantize")) continue;
      check_key(key, value, above, where);
      if (key == "default") {
        read_value(value, above.empty() ? "**" : above, where + ": default");
      } else {
        const std::string path = above.empty() ? key : above + "." + key;
        check_pattern(path, where);
        read_value(value, path, kWhere + ": " + path);
      }
    }
  }

 private:
  void check_key(const std::string& key, const json& value, const std::string& above, const std::string& where) const {
    if (key.empty()) throw usage_error(where, "has an empty key", "the name of a component");
    static const std::vector<std::string> kParameters = {
        "activation_scheme", "bits", "gguf_model", "group_size", "quant_type", "sym", "type", "weight_block_size"};
    const bool parameter = std::ranges::count(common_method_keys(), key) + std::ranges::count(kParameters, key) > 0;
    if (parameter) {
      throw usage_error(where + ": " + key, "is " + json_text(value) + " without a method beside it",
                        "a key method, or a map of components");
    }
    const std::vector<std::string>& known = options_.components;
    const std::string component = first_segment(key);
    if (!above.empty() || key == "default" || known.empty() || std::ranges::count(known, component) > 0) return;
    if (key.find_first_of("*:") != std::string::npos) return;
    const std::string near = closest_name(component, known);
    throw usage_error(
        where + ": " + key,
        "'" + component + "' is no component of this pipeline" + (near.empty() ? "" : ": did you mean " + near + "?"),
        "one of " + join(known) + ", default");
  }

  void read_value(const json& value, const std::string& path, const std::string& where) {
    if (value.is_object()) {
      if (is_method_spec(value)) {
        read_method_spec(value, path, where, config_);
      } else if (path == "**") {
        wrong(where, value, "a method, null, or an object with a key method");
      } else {
        read(value, path);
      }
      return;
    }
    if (!value.is_string() && !value.is_null()) wrong(where, value, "a method, null, or an object");
    QuantRule rule;
    rule.kind = Kind::kKeep;
    if (value.is_string()) rule = method_rule(value.get<std::string>(), where);
    rule.path = path;
    rule.source = (path == "**" ? "default" : path) + ": " + (value.is_null() ? "null" : value.get<std::string>());
    rule.is_component = path != "**" && path.find_first_of("*:") == std::string::npos;
    config_.rules.push_back(std::move(rule));
  }

  const QuantConfigOptions& options_;
  QuantConfig& config_;
};

void check_known(const json& object, const std::vector<std::string>& known, const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::count(known, key) == 0) {
      throw usage_error(where + ": " + key, "is no key here (value " + json_text(value) + ")", "one of " + join(known));
    }
  }
}

std::string text_of(const json& object, const char* key, const std::string& where, const std::string& otherwise) {
  const auto it = object.find(key);
  if (it == object.end()) return otherwise;
  if (!it->is_string()) wrong(where + ": " + key, *it, "text");
  return it->get<std::string>();
}

// {"path": ..., "scheme": ...}: a method's name, a scheme's text, "none" for float, null for as it is, "stored" for as
// stored by the method beside it, "ignore" for an ignored name.
QuantRule read_rule(const json& item, const std::string& where) {
  if (!item.is_object()) wrong(where, item, "an object with path and scheme");
  check_known(item, {"component", "method", "path", "scheme", "source"}, where);
  if (!item.contains("path") || !item.contains("scheme")) wrong(where, item, "an object with path and scheme");
  const std::string path = text_of(item, "path", where, "");
  if (!path.empty()) check_pattern(path, where);
  const json& scheme = item.at("scheme");
  if (!scheme.is_string() && !scheme.is_null()) wrong(where + ": scheme", scheme, "a scheme, null or \"ignore\"");
  const std::string method = text_of(item, "method", where, "");
  if (!method.empty()) (void)method_rule(method, where + ": method");
  QuantRule rule;
  if (scheme.is_null()) {
    rule.kind = Kind::kKeep;
  } else if (scheme == "ignore") {
    if (path.empty()) wrong(where + ": path", item.at("path"), "the name to ignore");
    rule.kind = Kind::kIgnore;
  } else if (scheme == "stored") {
    if (method.empty()) wrong(where + ": method", method, "the method that stored the weights");
    rule.kind = Kind::kStored;
  } else {
    rule = method_rule(scheme.get<std::string>(), where + ": scheme");
  }
  if (item.contains("method")) rule.method = fold_method(method);
  rule.path = path;
  rule.source = text_of(item, "source", where, path.empty() ? json_text(scheme) : path + ": " + json_text(scheme));
  if (item.contains("component")) {
    if (!item.at("component").is_boolean()) wrong(where + ": component", item.at("component"), "true or false");
    rule.is_component = item.at("component").get<bool>();
  }
  return rule;
}

void read_normal_form(const json& spec, QuantConfig& config) {
  check_known(spec, {"dequantize", "gguf_model", "notes", "requantize", "rules"}, kWhere);
  config.gguf_model = text_of(spec, "gguf_model", kWhere, "");
  const json& rules = spec.at("rules");
  if (!rules.is_array()) wrong(kWhere + ": rules", rules, "a list of rules");
  for (size_t i = 0; i < rules.size(); ++i) {
    config.rules.push_back(read_rule(rules[i], kWhere + ": rules[" + std::to_string(i) + "]"));
  }
  if (!spec.contains("notes")) return;
  if (!spec.at("notes").is_array()) wrong(kWhere + ": notes", spec.at("notes"), "a list of texts");
  for (const json& note : spec.at("notes")) {
    if (!note.is_string()) wrong(kWhere + ": notes", note, "text");
    config.notes.push_back(note.get<std::string>());
  }
}

}  // namespace

json QuantConfig::normal_form() const {
  json out = {{"rules", json::array()}, {"requantize", requantize}, {"dequantize", dequantize}};
  for (const QuantRule& rule : rules) {
    json item = {{"path", rule.path}, {"source", rule.source}};
    switch (rule.kind) {
      case Kind::kScheme:
        item["scheme"] = rule.scheme.text();
        item["method"] = rule.method;
        break;
      case Kind::kFloat:
        item["scheme"] = "none";
        break;
      case Kind::kKeep:
        item["scheme"] = nullptr;
        break;
      case Kind::kIgnore:
        item["scheme"] = "ignore";
        break;
      case Kind::kStored:
        item["scheme"] = "stored";
        item["method"] = rule.method;
        break;
    }
    if (rule.is_component) item["component"] = true;
    out["rules"].push_back(std::move(item));
  }
  if (!gguf_model.empty()) out["gguf_model"] = gguf_model;
  if (!notes.empty()) out["notes"] = notes;
  return out;
}

QuantConfig build_quant_config(const json& spec, const QuantConfigOptions& options) {
  QuantConfig config;
  if (spec.is_string()) {
    if (spec.get<std::string>().empty()) wrong(kWhere, spec, "a method, a scheme or none");
    config.rules.push_back(method_rule(spec.get<std::string>(), kWhere));
  } else if (spec.is_object()) {
    if (is_method_spec(spec)) {
      read_method_spec(spec, "", kWhere, config);
    } else {
      config.requantize = read_flag(spec, "requantize");
      config.dequantize = read_flag(spec, "dequantize");
      if (spec.contains("rules")) {
        read_normal_form(spec, config);
      } else {
        ComponentMap(options, config).read(spec, "");
        if (config.rules.empty()) wrong(kWhere, spec, "a method key or a map of components beside it");
      }
    }
  } else if (!spec.is_null()) {
    wrong(kWhere, spec, "a method, a scheme, null, or an object");
  }
  for (const std::string& pattern : options.ignored_layers) {
    QuantRule rule = ignore_rule("", pattern, "ignored_layers");
    const auto same = [&](const QuantRule& other) { return other.kind == Kind::kIgnore && other.path == rule.path; };
    if (std::ranges::none_of(config.rules, same)) config.rules.push_back(std::move(rule));
  }
  return config;
}

QuantConfig build_quant_config(const json& spec, const json& metadata, const QuantConfigOptions& options) {
  QuantConfig config = build_quant_config(spec, options);
  check_against_metadata(config, spec, metadata, options);
  return config;
}

QuantConfig parse_quant_config(std::string_view text, const QuantConfigOptions& options) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) throw usage_error(kWhere, "is empty", "a method, a scheme, none, or JSON");
  text = text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
  if (text == "null") return build_quant_config(nullptr, options);
  if (text[0] != '{' && text[0] != '[' && text[0] != '"') {
    return build_quant_config(json(std::string(text)), options);
  }
  try {
    return build_quant_config(parse_json(text, kWhere), options);
  } catch (const Error& e) {
    throw usage_error(e.where(), e.found(), e.expected());
  }
}

}  // namespace omni
