#include "quant/method_spec.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "quant/method.h"
#include "quant/method_parameters.h"
#include "quant/pattern.h"
#include "quant/stored_method.h"

namespace omni {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kIgnoreKeys = {
    "ignored_layers",  "modules_to_not_convert", "ignore",
    "exclude_modules", "unquantized_modules",    "llm_int8_skip_modules"};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void wrong(const std::string& where, const std::string& key, const json& value, std::string expected) {
  throw usage_error(where + ": " + key, "is " + json_text(value), std::move(expected));
}

std::vector<std::string> read_ignored(const json& spec, const std::string& where) {
  std::string used;
  std::vector<std::string> out;
  for (const std::string_view key : kIgnoreKeys) {
    const auto it = spec.find(key);
    if (it == spec.end() || it->is_null()) continue;
    if (!used.empty()) {
      throw usage_error(where, "both " + used + " and " + std::string(key) + " are given", "one of the two");
    }
    used = key;
    json list = *it;
    if (list.is_string()) list = json::array({*it});
    if (!list.is_array()) wrong(where, used, *it, "a list of names");
    for (const json& item : list) {
      if (!item.is_string() || item.get<std::string>().empty()) wrong(where, used, *it, "a list of names");
      out.push_back(item.get<std::string>());
    }
  }
  return out;
}

std::string method_name_of(const json& spec, const std::string& where) {
  std::string name, from;
  for (const char* key : {"method", "quant_method"}) {
    const auto it = spec.find(key);
    if (it == spec.end()) continue;
    if (!it->is_string()) wrong(where, key, *it, "the name of a method");
    const auto text = it->get<std::string>();
    if (!from.empty() && fold_method(text) != fold_method(name)) {
      throw usage_error(where, "method '" + name + "' and quant_method '" + text + "' differ", "one of the two");
    }
    if (from.empty()) name = text;
    from = key;
  }
  // A ModelOpt algorithm says which of ModelOpt's methods it is, under either key and without one.
  const bool modelopt = name.empty() || fold_method(name).starts_with("modelopt");
  if (modelopt && is_modelopt_metadata(spec)) {
    json algorithm = spec;
    algorithm["quant_method"] = "modelopt";
    return read_stored_method(algorithm, where)->method;
  }
  return name;
}

// What the spec's parameters make of the method's name: a name or scheme text for method_rule.
class Parameters {
 public:
  Parameters(const json& spec, std::string method, std::string where)
      : spec_(spec), method_(std::move(method)), where_(std::move(where)) {}

  std::string scheme_text(const std::string& written) const {
    if (method_ == "bitsandbytes" && has("quant_type")) return bitsandbytes();
    if (method_ == "gguf") return gguf(written);
    if (method_ == "int4" || method_ == "w4a16") return integer4(written);
    if (method_ == "int8") require_bits(8, "int4");
    return written;
  }

  // True when the spec asks for weights that are stored quantized already: static input scales, blocks of scales, or a
  // flag that says so.
  bool asks_stored() const {
    bool stored = false;
    if (has("activation_scheme") && find_method_parameter(method_, "activation_scheme") != nullptr) {
      const std::string scheme = string("activation_scheme");
      const bool can_be_static = method_ == "fp8";
      if (scheme != "dynamic" && !(can_be_static && scheme == "static")) {
        wrong(where_, "activation_scheme", spec_.at("activation_scheme"),
              can_be_static ? "dynamic, or static with a calibrated checkpoint" : "dynamic");
      }
      stored = scheme == "static";
    }
    if (has("weight_block_size") && method_ == "fp8") {
      check_block(spec_.at("weight_block_size"));
      stored = true;
    }
    for (const MethodParameter& parameter : method_parameters()) {
      const std::string key(parameter.key);
      if (parameter.method != method_ || parameter.effect != ParameterEffect::kSerialized || !has(key.c_str()))
        continue;
      if (!spec_.at(key).is_boolean()) wrong(where_, key, spec_.at(key), "true or false");
      stored = stored || spec_.at(key).get<bool>();
    }
    return stored;
  }

  std::string gguf_model() const {
    if (method_ != "gguf" || !has("gguf_model")) return "";
    const std::string reference = string("gguf_model");
    if (reference.empty())
      wrong(where_, "gguf_model", spec_.at("gguf_model"), "a file, FOLDER:QUANT or OWNER/NAME:QUANT");
    return reference;
  }

 private:
  bool has(const char* key) const { return spec_.contains(key) && !spec_.at(key).is_null(); }
  std::string string(const char* key) const {
    if (!spec_.at(key).is_string()) wrong(where_, key, spec_.at(key), "a name");
    return spec_.at(key).get<std::string>();
  }
  int64_t integer(const char* key) const {
    if (!spec_.at(key).is_number_integer()) wrong(where_, key, spec_.at(key), "an integer");
    return spec_.at(key).get<int64_t>();
  }

  void check_block(const json& block) const {
    const bool sizes = block.is_array() && block.size() == 2 && std::ranges::all_of(block, [](const json& side) {
                         return side.is_number_integer() && side.get<int64_t>() > 0 && side.get<int64_t>() <= 65536;
                       });
    if (!sizes) wrong(where_, "weight_block_size", block, "two sizes > 0, such as [128, 128]");
  }
  std::string gguf(const std::string& written) const {
    if (has("type") && has("gguf_model")) {
      throw usage_error(where_, "both type and gguf_model are given", "one of the two");
    }
    return has("type") ? "gguf:" + string("type") : written;
  }
  void require_bits(int64_t bits, const std::string& other) const {
    if (!has("bits") || integer("bits") == bits) return;
    wrong(where_, "bits", spec_.at("bits"), std::to_string(bits) + "; or another method, such as " + other);
  }
  std::string bitsandbytes() const {
    const std::string type = fold_method(string("quant_type"));
    if (type == "nf4" || type == "int8") return type;
    if (type == "fp4") return "fp4bnb/g64/f32";
    wrong(where_, "quant_type", spec_.at("quant_type"), "nf4, fp4 or int8");
  }
  std::string integer4(const std::string& written) const {
    require_bits(4, "int8");
    if (!has("group_size") && !has("sym")) return written;
    const int64_t group = has("group_size") ? integer("group_size") : 128;
    const bool usable = group == -1 || (group >= 16 && group <= 1024 && (group & (group - 1)) == 0);
    if (!usable) {
      wrong(where_, "group_size", spec_.at("group_size"), "a power of two from 16 to 1024, or -1 for a scale a row");
    }
    if (has("sym") && !spec_.at("sym").is_boolean()) wrong(where_, "sym", spec_.at("sym"), "true or false");
    const bool symmetric = !has("sym") || spec_.at("sym").get<bool>();
    return "int4/" + (group == -1 ? "channel" : "g" + std::to_string(group)) + (symmetric ? "" : "/asym");
  }

  const json& spec_;
  std::string method_, where_;
};

// Whether a parameter of another system that is not done here asks for nothing.
bool is_idle(const json& value) {
  return value.is_null() || value == false || value == 0 || (value.is_array() && value.empty());
}

// A user's spec may have only keys that do something; unknown metadata of a checkpoint is kept and reported.
void check_keys(const json& spec, const std::string& method, const std::string& where, QuantConfig& config) {
  std::vector<std::string> known = common_method_keys();
  for (const MethodParameter& parameter : method_parameters()) {
    if (parameter.method == method) known.emplace_back(parameter.key);
  }
  std::ranges::sort(known);
  const bool is_users = spec.contains("method");
  for (const auto& [key, value] : spec.items()) {
    const MethodParameter* parameter = find_method_parameter(method, key);
    const std::string text = where + ": the key " + key + " = " + json_text(value);
    if (parameter != nullptr && parameter->effect == ParameterEffect::kStorage) {
      config.notes.push_back(text + " describes stored weights; the checkpoint decides");
    } else if (parameter != nullptr && parameter->effect == ParameterEffect::kUnused && !is_idle(value)) {
      if (is_users) wrong(where, key, value, "no such key: " + std::string(parameter->why));
      config.notes.push_back(text + " has no effect here: " + std::string(parameter->why));
    } else if (parameter == nullptr && std::ranges::count(known, key) == 0) {
      if (is_users) {
        const std::string near = closest_name(key, known);
        throw usage_error(where + ": " + key,
                          "is no parameter of " + method + " (value " + json_text(value) + ")" +
                              (near.empty() ? "" : ": did you mean " + near + "?"),
                          "one of " + join(known));
      }
      config.notes.push_back(text + " has no effect here");
    }
  }
}

}  // namespace

std::string json_text(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

const std::vector<std::string>& common_method_keys() {
  static const std::vector<std::string> keys = {"dequantize",     "exclude_modules", "ignore",
                                                "ignored_layers", "method",          "modules_to_not_convert",
                                                "quant_method",   "requantize"};
  return keys;
}

QuantRule ignore_rule(const std::string& component, const std::string& pattern, const std::string& key) {
  QuantRule rule;
  rule.path = pattern_below(component, pattern);
  rule.kind = QuantRule::Kind::kIgnore;
  rule.source = key + ": " + pattern;
  check_pattern(rule.path, key);
  return rule;
}

void read_method_spec(const json& spec, const std::string& component, const std::string& where, QuantConfig& config) {
  const std::string written = method_name_of(spec, where);
  const std::string method = fold_method(written);
  const std::string at = where + ": " + (spec.contains("method") ? "method" : "quant_method");
  (void)method_rule(written, at);  // an unknown method is the first thing to hear of
  check_keys(spec, method, where, config);
  const Parameters parameters(spec, method, where);
  QuantRule rule = method_rule(parameters.scheme_text(written), at);
  if (rule.kind == QuantRule::Kind::kScheme && parameters.asks_stored()) {
    rule.kind = QuantRule::Kind::kStored;
    rule.scheme = {};
  }
  if (std::string model = parameters.gguf_model(); !model.empty()) config.gguf_model = std::move(model);
  rule.path = component;
  rule.source = component.empty() ? written : component + ": " + written;
  rule.is_component = !component.empty() && component != "**";
  config.rules.push_back(std::move(rule));
  std::vector<std::string> seen;
  for (const std::string& pattern : read_ignored(spec, where)) {
    if (std::ranges::count(seen, pattern) > 0) continue;
    seen.push_back(pattern);
    config.rules.push_back(ignore_rule(component == "**" ? "" : component, pattern, "ignored_layers"));
  }
  for (const auto& [key, flag] :
       {std::pair{"requantize", &config.requantize}, std::pair{"dequantize", &config.dequantize}}) {
    if (!spec.contains(key)) continue;
    if (!spec.at(key).is_boolean()) wrong(where, key, spec.at(key), "true or false");
    *flag = *flag || spec.at(key).get<bool>();
  }
}

}  // namespace omni
