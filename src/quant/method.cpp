#include "quant/method.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace omni {
namespace {

constexpr std::string_view kInt4 = "int4/g128, which needs no calibration";
constexpr std::string_view kAny = "fp8, int8 or int4";
constexpr MethodUse kOnline = MethodUse::kOnline, kStored = MethodUse::kStored, kAbsent = MethodUse::kAbsent;

constexpr std::array kMethods = {
    MethodName{"aqlm", kAbsent, kInt4},
    MethodName{"ascend", kAbsent, "int8 or fp8"},
    MethodName{"awq", kStored, kInt4},
    MethodName{"bitsandbytes", kOnline, "nf4"},
    MethodName{"comfy_nvfp4", kAbsent, "nvfp4"},
    MethodName{"compressed-tensors", kStored, kAny},
    MethodName{"experts_int8", kAbsent, "int8"},
    MethodName{"fp4", kOnline, "nvfp4"},
    MethodName{"fp8", kOnline, "fp8"},
    MethodName{"fp8_per_block", kOnline, "fp8/128x128"},
    MethodName{"fp8_per_channel", kOnline, "fp8_per_channel"},
    MethodName{"fp8_per_tensor", kOnline, "fp8_per_tensor"},
    MethodName{"gguf", kStored, "gguf:TYPE to round online"},
    MethodName{"gptq", kStored, kInt4},
    MethodName{"hqq", kAbsent, "int4/g64/asym"},
    MethodName{"inc", kStored, kInt4},
    MethodName{"int4", kOnline, "int4"},
    MethodName{"int8", kOnline, "int8"},
    MethodName{"int8_convrot", kStored, "int8"},
    MethodName{"modelopt", kStored, "fp8"},
    MethodName{"modelopt_fp4", kStored, "nvfp4"},
    MethodName{"modelopt_mixed", kStored, "nvfp4, or a component map of fp8 and nvfp4"},
    MethodName{"modelopt_mxfp8", kStored, "mxfp8"},
    MethodName{"mxfp4", kOnline, "mxfp4"},
    MethodName{"mxfp4_dualscale", kAbsent, "mxfp4"},
    MethodName{"mxfp8", kOnline, "mxfp8"},
    MethodName{"nf4", kOnline, "nf4"},
    MethodName{"nvfp4", kOnline, "nvfp4"},
    MethodName{"quanto", kStored, "int8 or int4"},
    MethodName{"quark_svdquant", kAbsent, "mxfp4"},
    MethodName{"quark_w4a8", kAbsent, "mxfp4"},
    MethodName{"svdquant", kStored, "nvfp4"},
    MethodName{"torchao", kStored, "fp8 or int8"},
    MethodName{"torchao_float8_weight_only", kOnline, "fp8/channel"},
};

struct Alias {
  std::string_view written, name;
};
constexpr std::array kAliases = {
    Alias{"auto-round", "inc"}, Alias{"awq_marlin", "awq"},   Alias{"compressed_tensors", "compressed-tensors"},
    Alias{"fbgemm_fp8", "fp8"}, Alias{"gptq_marlin", "gptq"}, Alias{"modelopt_fp8", "modelopt"},
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// The type inside a recipe's name: "q4_k" of "q4_k_m"; "" when it is none.
std::string recipe_type(std::string_view name) {
  for (const std::string_view suffix : {"_xs", "_s", "_m", "_l", "_xl"}) {
    if (!name.ends_with(suffix)) continue;
    const std::string_view type = name.substr(0, name.size() - suffix.size());
    if (type.size() == 4 && type[0] == 'q' && type.ends_with("_k")) return std::string(type);
  }
  return "";
}

std::string gguf_types() {
  std::string text;
  for (const Preset& preset : presets()) {
    if (preset.name.starts_with('q')) text += (text.empty() ? "" : ", ") + std::string(preset.name);
  }
  return text;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void unknown_method(const std::string& text, const std::string& where) {
  const std::vector<std::string> known = known_method_names();
  const std::string near = closest_name(text, known);
  const std::string hint = near.empty() ? "" : ": did you mean " + near + "?";
  throw usage_error(where, "'" + text + "' is no known method or scheme" + hint,
                    "one of " + join(known) + ", or a scheme such as int4/g128/asym");
}

// What can be made from float weights without calibration data.
void check_online(const QuantScheme& scheme, const std::string& text, const std::string& where) {
  if (scheme.act == ActQuant::kStatic) {
    throw usage_error(where, "'" + text + "' needs activation scales that only a calibrated checkpoint has",
                      "per-token or per-tensor activations");
  }
  if (scheme.low_rank != 0 || scheme.rotation != 0 || scheme.smooth || scheme.ordered) {
    throw usage_error(where, "'" + text + "' needs a checkpoint made for it",
                      "a scheme without rank, rotation, smoothing and order");
  }
}

}  // namespace

std::string fold_method(std::string_view name) {
  const std::string folded = lower(name);
  for (const Alias& alias : kAliases) {
    if (lower(alias.written) == folded) return std::string(alias.name);
  }
  return folded;
}

std::span<const MethodName> method_names() {
  return kMethods;
}

const MethodName* find_method(std::string_view name) {
  const auto found = std::ranges::find(kMethods, fold_method(name), &MethodName::name);
  return found == kMethods.end() ? nullptr : &*found;
}

std::vector<std::string_view> method_aliases(std::string_view name) {
  std::vector<std::string_view> out;
  for (const Alias& alias : kAliases) {
    if (alias.name == name) out.push_back(alias.written);
  }
  return out;
}

std::vector<std::string> known_method_names() {
  std::vector<std::string> names = {"none", "bf16"};
  for (const Alias& alias : kAliases) names.emplace_back(alias.written);
  for (const MethodName& method : kMethods) names.emplace_back(method.name);
  for (const Preset& preset : presets()) names.emplace_back(preset.name);
  std::ranges::sort(names);
  const auto twice = std::unique(names.begin(), names.end());
  names.erase(twice, names.end());
  return names;
}

void require_known_method(std::string_view name, const std::string& where) {
  if (find_method(name) == nullptr && !parse_scheme(name)) unknown_method(std::string(name), where);
}

QuantRule method_rule(std::string_view text, const std::string& where) {
  QuantRule rule;
  rule.source = std::string(text);
  const std::string name = fold_method(text);
  if (name == "none" || name == "bf16") {
    rule.kind = QuantRule::Kind::kFloat;
    return rule;
  }
  if (name == "w8a8") throw usage_error(where, "'w8a8' does not say which 8-bit type", "int8 or fp8");
  const std::string type = name.starts_with("gguf:") ? name.substr(5) : name;
  if (const std::string of = recipe_type(type); !of.empty()) {
    throw usage_error(where, "'" + rule.source + "' is a recipe that mixes types",
                      "a type, such as " + of + ", or a GGUF file made with it");
  }
  if (type.size() != name.size() && (!type.starts_with('q') || find_preset(type) == nullptr)) {
    throw usage_error(where, "'" + type + "' is no GGUF type known here", "one of " + gguf_types());
  }
  const MethodName* method = find_method(type);
  if (method != nullptr && method->use == kAbsent) {
    throw usage_error(where, "the method '" + rule.source + "' is known but cannot be read or made here",
                      std::string(method->text));
  }
  if (method != nullptr) rule.method = method->name;
  if (method != nullptr && method->use == kStored) {
    rule.kind = QuantRule::Kind::kStored;
    return rule;
  }
  const std::optional<QuantScheme> scheme = parse_scheme(method != nullptr ? method->text : std::string_view(type));
  if (!scheme) unknown_method(rule.source, where);
  check_online(*scheme, rule.source, where);
  rule.scheme = *scheme;
  return rule;
}

std::string stored_instead(std::string_view method) {
  if (method == "gguf") return "--gguf-model FILE, a GGUF checkpoint, or gguf:TYPE with one of " + gguf_types();
  const MethodName* known = find_method(method);
  if (known == nullptr) return std::string(kAny);
  if (known->use == kOnline) return std::string(method) + " without the keys that only a stored checkpoint has";
  return "no quantization flag, or " + std::string(known->text);
}

std::string closest_name(std::string_view text, const std::vector<std::string>& known) {
  const std::string wanted = lower(text);
  const size_t limit = std::max<size_t>(1, wanted.size() / 3);
  std::string best;
  size_t best_distance = limit + 1;
  for (const std::string& name : known) {
    const std::string other = lower(name);
    std::vector<size_t> row(other.size() + 1);
    for (size_t j = 0; j <= other.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= wanted.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= other.size(); ++j) {
        const size_t replace = diagonal + (wanted[i - 1] == other[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = name;
    }
  }
  return best;
}

}  // namespace omni
