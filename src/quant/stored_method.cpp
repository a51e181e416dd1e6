#include "quant/stored_method.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "quant/method.h"
#include "quant/method_spec.h"

namespace omni {
namespace {

using nlohmann::json;
using Kind = QuantRule::Kind;

struct Algorithm {
  std::string_view algo, method, family;
};
constexpr std::array kModelOpt = {
    Algorithm{"FP8", "modelopt", "fp8"},
    Algorithm{"FP8_PER_CHANNEL_PER_TOKEN", "modelopt", "fp8"},
    Algorithm{"FP8_PB_WO", "modelopt", "fp8"},
    Algorithm{"MIXED_PRECISION", "modelopt_mixed", ""},
    Algorithm{"MXFP8", "modelopt_mxfp8", "mxfp8"},
    Algorithm{"NVFP4", "modelopt_fp4", "nvfp4"},
    Algorithm{"NVFP4_AWQ", "modelopt_fp4", "nvfp4"},
    Algorithm{"W4A16_NVFP4", "modelopt_fp4", "nvfp4"},
};

// The family of numbers that a compressed-tensors format holds.
struct Format {
  std::string_view format, family;
};
constexpr std::array kFormats = {
    Format{"float-quantized", "fp8"},   Format{"int-quantized", "int8"}, Format{"mxfp4-pack-quantized", "mxfp4"},
    Format{"mxfp8-quantized", "mxfp8"}, Format{"naive-quantized", ""},   Format{"nvfp4-pack-quantized", "nvfp4"},
};

// The family that a method's name asks for.
std::string_view family_of(std::string_view method) {
  if (method.starts_with("fp8") || method == "torchao_float8_weight_only") return "fp8";
  if (method == "fp4" || method == "nvfp4" || method == "modelopt_fp4") return "nvfp4";
  if (method == "int8" || method == "mxfp4" || method == "mxfp8") return method;
  return "";
}

const json* find(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string upper(std::string text) {
  for (char& c : text) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

const json* algorithm_key(const json& metadata) {
  const json* inline_algo = find(metadata, "quant_algo");
  if (inline_algo != nullptr) return inline_algo;
  const json* block = find(metadata, "quantization");
  return block != nullptr && block->is_object() ? find(*block, "quant_algo") : nullptr;
}

StoredMethod modelopt_method(const json& algo, const std::string& where) {
  std::string known;
  if (!algo.is_string()) throw usage_error(where + ": quant_algo", "is " + json_text(algo), "the name of an algorithm");
  for (const Algorithm& entry : kModelOpt) {
    if (entry.algo == upper(algo.get<std::string>())) return {std::string(entry.method), std::string(entry.family)};
    known += (known.empty() ? "" : ", ") + std::string(entry.algo);
  }
  throw usage_error(where + ": quant_algo", "is " + json_text(algo) + ", which is no algorithm known here",
                    "one of " + known);
}

bool has_float_scales(const QuantScheme& scheme, DType codes) {
  return scheme.codes == codes && scheme.low_rank == 0 && scheme.rotation == 0 && scheme.zero == Zero::kNone &&
         dtype_info(scheme.scale.dtype).is_float;
}

// fp8 is any granularity; a name that spells the granularity is that one.
bool is_fp8_of(std::string_view method, const QuantScheme& scheme) {
  if (!has_float_scales(scheme, DType::kF8E4M3) || scheme.scale.dtype == DType::kF8E8M0) return false;
  const Group group = scheme.scale.group;
  if (method == "fp8_per_tensor") return group == Group{0, 0};
  if (method == "fp8_per_channel") return group == Group{1, 0};
  if (method == "fp8_per_block") return group.rows > 1;
  return method == "fp8" || scheme.act == ActQuant::kNone;
}

bool in_family(std::string_view method, const QuantScheme& scheme) {
  const std::string_view family = family_of(method);
  if (family == "fp8") return is_fp8_of(method, scheme);
  if (family == "nvfp4") {  // compressed-tensors divides by the outer scale: both levels in one f32 a group
    return has_float_scales(scheme, DType::kF4E2M1) && scheme.scale.group == Group{1, 16} &&
           scheme.scale.dtype != DType::kF8E8M0;
  }
  if (family == "mxfp4" || family == "mxfp8") {
    return has_float_scales(scheme, family == "mxfp4" ? DType::kF4E2M1 : DType::kF8E4M3) &&
           scheme.scale.dtype == DType::kF8E8M0;
  }
  if (family == "int8") {
    return has_float_scales(scheme, DType::kI8) && scheme.scale.group == Group{1, 0} &&
           scheme.act == ActQuant::kPerToken;
  }
  return false;
}

// ModelOpt's methods by what they store, for checkpoints that say no more than "modelopt".
std::string_view modelopt_name(const QuantScheme& scheme) {
  if (in_family("nvfp4", scheme)) return "modelopt_fp4";
  return in_family("mxfp8", scheme) ? "modelopt_mxfp8" : "modelopt";
}

[[noreturn]] void conflict(const QuantRule& rule, const std::string& stored) {
  if (rule.kind == Kind::kFloat) {
    throw usage_error("quantization",
                      "'" + rule.source + "' asks for float, but the checkpoint is stored by '" + stored + "'",
                      "no quantization flag (as stored), or dequantize: true");
  }
  throw usage_error("quantization", "'" + rule.source + "' conflicts with the checkpoint, stored by '" + stored + "'",
                    rule.kind == Kind::kScheme ? "no quantization flag (as stored), or requantize: true"
                                               : "no quantization flag (as stored), or the flag " + stored);
}

// Parameters that both the user and the checkpoint give must agree.
void check_parameters(const json& spec, const json& metadata) {
  if (!spec.is_object() || !metadata.is_object()) return;
  for (const char* key : {"activation_scheme", "bits", "desc_act", "group_size", "packing_format", "quant_algo", "sym",
                          "weight_block_size"}) {
    const json *asked = find(spec, key), *stored = find(metadata, key);
    if (asked == nullptr || stored == nullptr || *asked == *stored) continue;
    throw usage_error("quantization: " + std::string(key),
                      "is " + json_text(*asked) + ", but the checkpoint says " + json_text(*stored),
                      "the checkpoint's value, or no such key");
  }
}

bool agrees(const QuantRule& rule, const StoredMethod& stored) {
  if (rule.method == stored.method) return true;
  const bool family = !stored.family.empty() && family_of(rule.method) == stored.family;
  return family && (rule.kind == Kind::kScheme || rule.method == "fp8");
}

}  // namespace

bool is_modelopt_metadata(const json& spec) {
  if (find(spec, "quant_algo") != nullptr) return true;
  const json* producer = find(spec, "producer");
  if (producer == nullptr || !producer->is_object()) return false;
  const json* name = find(*producer, "name");
  return name != nullptr && *name == "modelopt" && algorithm_key(spec) != nullptr;
}

std::optional<StoredMethod> read_stored_method(const json& metadata, const std::string& where) {
  if (metadata.is_null()) return std::nullopt;
  StoredMethod stored;
  const json* named = nullptr;
  if (metadata.is_string()) {
    named = &metadata;
  } else if (metadata.is_object()) {
    named = find(metadata, "quant_method");
    if (named == nullptr) named = find(metadata, "method");
  } else {
    throw usage_error(where, "is " + json_text(metadata), "an object with a key quant_method");
  }
  if (named == nullptr) {
    if (!is_modelopt_metadata(metadata)) return std::nullopt;
    return modelopt_method(*algorithm_key(metadata), where);
  }
  if (!named->is_string()) throw usage_error(where + ": quant_method", "is " + json_text(*named), "a method's name");
  const auto written = named->get<std::string>();
  require_known_method(written, where + ": quant_method");
  stored.method = fold_method(written);
  if (metadata.is_object() && stored.method.starts_with("modelopt") && algorithm_key(metadata) != nullptr) {
    return modelopt_method(*algorithm_key(metadata), where);
  }
  stored.family = family_of(stored.method);
  const json* format = metadata.is_object() ? find(metadata, "format") : nullptr;
  if (stored.method == "compressed-tensors" && format != nullptr && format->is_string()) {
    const auto known = std::ranges::find(kFormats, format->get<std::string>(), &Format::format);
    if (known != kFormats.end()) stored.family = known->family;
  }
  return stored;
}

bool keeps_stored(const QuantRule& rule, const QuantScheme& scheme, std::string_view method) {
  if (rule.kind == Kind::kScheme && scheme == rule.scheme) return true;
  if (rule.method.empty()) return false;
  const std::string stored = fold_method(method);
  if (rule.method.starts_with("modelopt") && stored == "modelopt") {
    return rule.method == "modelopt_mixed" || rule.method == modelopt_name(scheme);
  }
  const bool names_storage = rule.kind == Kind::kStored || rule.method == "bitsandbytes";
  if (names_storage && rule.method == stored) return true;
  const bool only_modelopt = rule.kind == Kind::kStored && rule.method != "fp8";
  return !only_modelopt && in_family(rule.method, scheme);
}

void check_against_metadata(const QuantConfig& config, const json& spec, const json& metadata,
                            const QuantConfigOptions& options) {
  const std::optional<StoredMethod> stored = read_stored_method(metadata, "quantization_config");
  for (const QuantRule& rule : config.rules) {
    const bool everywhere = rule.kind == Kind::kFloat && rule.path.empty();
    if (rule.path != options.metadata_component && !everywhere) continue;
    if (!stored) {
      if (rule.kind == Kind::kStored && !(rule.method == "gguf" && !config.gguf_model.empty())) {
        throw usage_error("quantization",
                          "'" + rule.source + "' reads a checkpoint that is stored by it, and this one is float",
                          stored_instead(rule.method));
      }
      continue;
    }
    const bool asks = rule.kind == Kind::kScheme || rule.kind == Kind::kStored;
    const bool makes_anew = config.requantize && rule.kind == Kind::kScheme;
    if (asks && !makes_anew && !agrees(rule, *stored)) conflict(rule, stored->method);
    if (rule.kind == Kind::kFloat && !config.dequantize) conflict(rule, stored->method);
  }
  if (stored && !config.requantize && options.metadata_component.empty()) check_parameters(spec, metadata);
}

}  // namespace omni
