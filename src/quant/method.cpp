#include "quant/method.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace omni {
namespace {

constexpr std::string_view kStoredOnly4 =
    "int4/g128, which needs no calibration (this method needs a checkpoint made by it)";
constexpr std::string_view kStoredOnly = "no flag with a checkpoint of that method, or fp8 / int8 / int4 online";

constexpr std::array kMethods = {
    MethodName{"aqlm", kStoredOnly4},
    MethodName{"ascend", "int8 or fp8"},
    MethodName{"awq", kStoredOnly4},
    MethodName{"awq_marlin", kStoredOnly4},
    MethodName{"bitsandbytes", ""},
    MethodName{"comfy_nvfp4", "nvfp4"},
    MethodName{"compressed-tensors", kStoredOnly},
    MethodName{"experts_int8", "int8"},
    MethodName{"fbgemm_fp8", "fp8"},
    MethodName{"fp4", ""},
    MethodName{"fp8", ""},
    MethodName{"fp8_per_block", "fp8 (a scale a channel)"},
    MethodName{"fp8_per_channel", ""},
    MethodName{"fp8_per_tensor", ""},
    MethodName{"gguf", ""},
    MethodName{"gptq", kStoredOnly4},
    MethodName{"gptq_marlin", kStoredOnly4},
    MethodName{"hqq", "int4/g64/asym"},
    MethodName{"inc", kStoredOnly4},
    MethodName{"int4", ""},
    MethodName{"int8", ""},
    MethodName{"int8_convrot", "int8"},
    MethodName{"modelopt", kStoredOnly},
    MethodName{"modelopt_fp4", "nvfp4"},
    MethodName{"modelopt_mixed", kStoredOnly},
    MethodName{"modelopt_mxfp8", "mxfp8"},
    MethodName{"mxfp4", ""},
    MethodName{"mxfp4_dualscale", "mxfp4"},
    MethodName{"mxfp8", ""},
    MethodName{"nf4", ""},
    MethodName{"nvfp4", ""},
    MethodName{"quanto", "int8 or int4"},
    MethodName{"quark_svdquant", "mxfp4"},
    MethodName{"quark_w4a8", "mxfp4"},
    MethodName{"svdquant", "nvfp4"},
    MethodName{"torchao", "fp8 or int8"},
    MethodName{"torchao_float8_weight_only", "fp8"},
};

struct Alias {
  std::string_view name, means;
};
constexpr std::array kAliases = {
    Alias{"auto_round", "inc"},
    Alias{"compressed_tensors", "compressed-tensors"},
    Alias{"modelopt_fp8", "modelopt"},
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
  if (scheme.low_rank != 0 || scheme.rotation != 0) {
    throw usage_error(where, "'" + text + "' needs a checkpoint made for it", "a scheme without rank and rotation");
  }
}

}  // namespace

std::string fold_method(std::string_view name) {
  const std::string folded = lower(name);
  const auto alias = std::ranges::find(kAliases, folded, &Alias::name);
  return alias == kAliases.end() ? folded : std::string(alias->means);
}

std::span<const MethodName> method_names() {
  return kMethods;
}

std::vector<std::string> known_method_names() {
  std::vector<std::string> names = {"none", "bf16", "auto-round", "modelopt_fp8"};
  for (const MethodName& method : kMethods) names.emplace_back(method.name);
  for (const Preset& preset : presets()) names.emplace_back(preset.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::unique(names);
  names.erase(twice.begin(), twice.end());
  return names;
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
  if (name == "gguf") throw usage_error(where, "'gguf' needs a type", "gguf:TYPE, with one of " + gguf_types());
  const std::string type = name.starts_with("gguf:") ? name.substr(5) : name;
  if (const std::string of = recipe_type(type); !of.empty()) {
    throw usage_error(where, "'" + rule.source + "' is a recipe that mixes types", "a type, such as " + of);
  }
  if (type.size() != name.size() && (!type.starts_with('q') || find_preset(type) == nullptr)) {
    throw usage_error(where, "'" + type + "' is no GGUF type known here", "one of " + gguf_types());
  }
  const std::string_view preset = name == "bitsandbytes" ? "nf4" : name == "fp4" ? "nvfp4" : std::string_view(type);
  if (const std::optional<QuantScheme> scheme = parse_scheme(preset)) {
    check_online(*scheme, rule.source, where);
    rule.scheme = *scheme;
    return rule;
  }
  for (const MethodName& method : kMethods) {
    if (method.name != name) continue;
    throw usage_error(where, "the method '" + rule.source + "' is known but cannot quantize here",
                      std::string(method.instead));
  }
  unknown_method(rule.source, where);
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
