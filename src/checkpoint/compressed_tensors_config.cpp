#include "checkpoint/compressed_tensors_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace omni {
namespace {

using ConfigGroup = CompressedTensorsConfig::ConfigGroup;
using Packing = LinearSpelling::Packing;

constexpr int64_t kLargestGroup = 1 << 20;

// How a format keeps weights.
struct Format {
  std::string_view name;
  enum class Kind : uint8_t { kDense, kNaive, kPack, kNvFp4, kMxFp4, kMxFp8 } kind;
};
constexpr std::array kFormats = {
    Format{"dense", Format::Kind::kDense},
    Format{"float-quantized", Format::Kind::kNaive},
    Format{"int-quantized", Format::Kind::kNaive},
    Format{"mxfp4-pack-quantized", Format::Kind::kMxFp4},
    Format{"mxfp8-quantized", Format::Kind::kMxFp8},
    Format{"naive-quantized", Format::Kind::kNaive},
    Format{"nvfp4-pack-quantized", Format::Kind::kNvFp4},
    Format{"pack-quantized", Format::Kind::kPack},
};

Format::Kind find_format(const std::string& name, const std::string& where) {
  const auto format = std::ranges::find(kFormats, name, &Format::name);
  if (format != kFormats.end()) return format->kind;
  std::string known;
  for (const Format& other : kFormats) known += (known.empty() ? "" : ", ") + std::string(other.name);
  throw Error(where + ": format", "is '" + name + "', which cannot be read", "one of " + known);
}

// A key that is either a flag or, as in newer files, a word.
bool is_set(const JsonObject& object, std::string_view key, std::string_view word) {
  if (!object.has(key)) return false;
  const nlohmann::json& value = object.value().at(std::string(key));
  return value.is_boolean() ? value.get<bool>() : value.is_string() && value.get<std::string>() == word;
}

int64_t group_size(const JsonObject& weights) {
  const int64_t size = weights.integer_or("group_size", -1);
  if (size != -1 && (size < 1 || size > kLargestGroup))
    throw Error(weights.where() + ": group_size", "is " + std::to_string(size), "-1, or a size > 0");
  return size;
}

Group block_of(const JsonObject& weights) {
  std::vector<int64_t> sizes;
  if (weights.has("block_structure") && weights.value().at("block_structure").is_string()) {
    const std::string text = weights.string("block_structure");  // the older spelling, "128x128"
    for (const char* at = text.data(); at < text.data() + text.size();) {
      const std::from_chars_result end = std::from_chars(at, text.data() + text.size(), sizes.emplace_back());
      if (end.ec != std::errc()) sizes.clear();
      at = end.ec != std::errc() ? text.data() + text.size() : end.ptr + 1;
    }
  } else {
    sizes = weights.integers("block_structure");
  }
  const bool good =
      sizes.size() == 2 && std::ranges::all_of(sizes, [](int64_t size) { return size > 0 && size <= kLargestGroup; });
  if (!good) {
    throw Error(weights.where() + ": block_structure", "is " + weights.value().at("block_structure").dump(),
                "two sizes > 0, rows and columns");
  }
  return Group{static_cast<int>(sizes[0]), static_cast<int>(sizes[1])};
}

Group group_of_strategy(const JsonObject& weights) {
  const int64_t size = group_size(weights);
  const std::string otherwise = weights.has("block_structure") ? "block"
                                : !weights.has("group_size")   ? "tensor"
                                : size == -1                   ? "channel"
                                                               : "group";
  const std::string strategy = weights.string_or("strategy", otherwise);
  if (strategy == "tensor") return Group{0, 0};
  if (strategy == "channel") return Group{1, 0};
  if (strategy == "block") return block_of(weights);
  if (strategy != "group" && strategy != "tensor_group")
    throw Error(weights.where() + ": strategy", "is '" + strategy + "'",
                "block, channel, group, tensor or tensor_group");
  if (size == -1) throw Error(weights.where() + ": group_size", "is missing", "a size > 0, as strategy is " + strategy);
  return Group{1, static_cast<int>(size)};
}

bool is_float_type(const JsonObject& args) {
  const std::string type = args.string_or("type", "int");
  if (type != "int" && type != "float") throw Error(args.where() + ": type", "is '" + type + "'", "int or float");
  return type == "float";
}

void want(const JsonObject& weights, bool fits, std::string_view format, std::string_view what) {
  if (fits) return;
  const std::string type = weights.string_or("type", "int");
  throw Error(weights.where(), "says " + std::to_string(weights.integer_or("num_bits", 8)) + " bits of type " + type,
              std::string(what) + ", as the format is " + std::string(format));
}

void spell_weights(const JsonObject& weights, const std::string& format, Format::Kind kind, LinearSpelling& spelling) {
  const bool floats = is_float_type(weights);
  const int64_t bits = weights.integer_or("num_bits", 8);
  spelling.bits = static_cast<int>(std::clamp<int64_t>(bits, 1, 8));
  spelling.zero_points = !weights.boolean_or("symmetric", true);
  spelling.ordered = is_set(weights, "actorder", "group") || is_set(weights, "actorder", "dynamic");
  spelling.group = group_of_strategy(weights);
  spelling.ragged = spelling.group->rows > 1;
  switch (kind) {
    case Format::Kind::kDense:
      return;
    case Format::Kind::kNaive:
      want(weights, floats ? bits == 8 : bits >= 1 && bits <= 8, format, "8-bit floats or integers of up to 8 bits");
      spelling.codes = floats ? DType::kF8E4M3 : DType::kI8;
      spelling.exponent_scales = weights.string_or("scale_dtype", "") == "torch.uint8";
      return;
    case Format::Kind::kMxFp8:
      want(weights, floats && bits == 8, format, "8-bit floats");
      spelling.codes = DType::kF8E4M3;
      spelling.exponent_scales = true;
      return;
    case Format::Kind::kPack:
      want(weights, !floats && bits >= 2 && bits <= 8, format, "integers of 2 to 8 bits");
      spelling.packing = Packing::kWords;
      break;
    case Format::Kind::kNvFp4:
      want(weights, floats && bits == 4, format, "4-bit floats");
      spelling.packing = Packing::kNibbles;
      spelling.codes = DType::kF4E2M1;
      spelling.outer_part = "weight_global_scale";
      spelling.outer_divides = true;
      break;
    case Format::Kind::kMxFp4:
      want(weights, floats && bits == 4, format, "4-bit floats");
      spelling.packing = Packing::kNibbles;
      spelling.codes = DType::kF4E2M1;
      spelling.exponent_scales = true;
      break;
  }
  spelling.codes_part = "weight_packed";
}

// Activations of the weights' own kind, symmetric; others are left in float, which is the more exact.
void spell_activations(const JsonObject& group, LinearSpelling& spelling) {
  spelling.input_scale_parts = {"input_scale"};
  if (!group.has("input_activations")) return;
  const JsonObject act = group.object("input_activations");
  const DType codes = is_float_type(act) ? DType::kF8E4M3 : DType::kI8;
  if (act.integer_or("num_bits", 8) != 8 || codes != spelling.codes || !act.boolean_or("symmetric", true)) return;
  if (spelling.exponent_scales) return;
  const std::string strategy = act.string_or("strategy", "tensor");
  if (!is_set(act, "dynamic", "")) {
    if (strategy == "tensor") spelling.act = ActQuant::kStatic;
  } else {
    if (strategy == "tensor") spelling.act = ActQuant::kPerTensor;
    if (strategy == "token") spelling.act = ActQuant::kPerToken;
  }
  if (spelling.act != ActQuant::kNone) spelling.act_codes = codes;
}

// A class is named as Python does it: a capital, no dots.
bool is_class(std::string_view target) {
  return !target.empty() && std::isupper(static_cast<unsigned char>(target[0])) != 0 &&
         target.find('.') == std::string_view::npos;
}

void read_targets(const JsonObject& group, ConfigGroup& out) {
  std::vector<std::string> names;
  for (std::string& target : group.strings("targets")) {
    (is_class(target) ? out.classes : names).push_back(std::move(target));
  }
  out.names = ModuleList(names, ModuleList::Kind::kNames, group.where() + ": targets");
}

void refuse_unread(const JsonObject& config) {
  if (config.has("sparsity_config")) {
    const std::string format = config.object("sparsity_config").string_or("format", "dense");
    if (format != "dense")
      throw Error(config.where() + ": sparsity_config", "keeps weights as '" + format + "'", "dense weights");
  }
  if (config.has("transform_config") && config.object("transform_config").has("config_groups") &&
      !config.object("transform_config").object("config_groups").keys().empty()) {
    throw Error(config.where() + ": transform_config", "asks for transforms of inputs, which cannot be carried out",
                "a checkpoint without them");
  }
}

}  // namespace

JsonObject compressed_tensors_object(const JsonObject& config) {
  if (!config.has("config_groups") && config.has("quantization_config")) return config.object("quantization_config");
  return config;
}

CompressedTensorsConfig::CompressedTensorsConfig(const JsonObject& outer) {
  refuse_unread(outer);
  const JsonObject config = compressed_tensors_object(outer);
  refuse_unread(config);
  if (config.has("ignore")) {
    ignore_ = ModuleList(config.strings("ignore"), ModuleList::Kind::kNames, config.where() + ": ignore");
  }
  kv_cache_ = config.has("kv_cache_scheme");
  if (!config.has("config_groups")) return;
  // Tools whose symmetric integers may have a negative scale: the end of larger magnitude is the wider one of theirs.
  const std::string provider = config.string_or("provider", "");
  const bool any_sign = provider == "auto-round" || provider == "omni";
  const JsonObject groups = config.object("config_groups");
  for (const std::string& key : groups.keys()) {
    const JsonObject group = groups.object(key);
    if (!group.has("weights")) continue;
    ConfigGroup& out = groups_.emplace_back();
    read_targets(group, out);
    const std::string format = group.string_or("format", config.string_or("format", "dense"));
    const Format::Kind kind = find_format(format, group.has("format") ? group.where() : config.where());
    out.dense = kind == Format::Kind::kDense;
    out.spelling.declared = "config_groups." + key;
    const JsonObject weights = group.object("weights");
    spell_weights(weights, format, kind, out.spelling);
    spell_activations(group, out.spelling);
    if (any_sign && !is_float_type(weights)) out.spelling.sign = ScaleSign::kAny;
    out.spelling.other_parts = {"input_global_scale", "input_zero_point", "output_scale", "output_zero_point"};
    if (!out.spelling.zero_points) out.spelling.other_parts.emplace_back("weight_zero_point");  // zeros of older tools
  }
}

const ConfigGroup* CompressedTensorsConfig::group_of(std::string_view module, bool has_parts) const {
  const ConfigGroup* loose = nullptr;
  for (const ConfigGroup& group : groups_) {
    const NameMatch match = group.names.match(module);
    if (match == NameMatch::kExact) return &group;
    if (match == NameMatch::kLoose && has_parts && loose == nullptr) loose = &group;
  }
  if (loose != nullptr) return loose;
  const std::string_view wanted = names_linear(module) ? "Linear" : "Embedding";
  const ConfigGroup* any = nullptr;
  for (const ConfigGroup& group : groups_) {
    if (std::ranges::find(group.classes, wanted) != group.classes.end()) return &group;
    if (!group.classes.empty() && has_parts && any == nullptr) any = &group;
  }
  return any;
}

}  // namespace omni
