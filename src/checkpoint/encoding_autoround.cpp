#include "checkpoint/encoding_autoround.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/packed_int.h"

namespace omni {
namespace {

using nlohmann::json;

// What the config says about a layer, before its packing is known.
struct LayerNumbers {
  int64_t bits = 16, group_size = -1;
  bool symmetric = true;
  std::string data_type = "int";
  bool left_float() const { return bits >= 16; }
};

std::string text_of(const json& value) {
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
}

void override_numbers(const json& values, const std::string& where, LayerNumbers& numbers) {
  if (!values.is_object()) throw Error(where, "is " + text_of(values), "an object");
  for (const auto& [key, value] : values.items()) {
    const auto wrong = [&, &key = key, &value = value](const char* expected) {
      return Error(where + ": " + key, "is " + text_of(value), expected);
    };
    if (value.is_null()) continue;
    if (key == "bits" || key == "group_size") {
      if (!value.is_number_integer()) throw wrong("an integer");
      (key == "bits" ? numbers.bits : numbers.group_size) = value.get<int64_t>();
    } else if (key == "sym") {
      if (!value.is_boolean()) throw wrong("true or false");
      numbers.symmetric = value.get<bool>();
    } else if (key == "data_type") {
      if (!value.is_string()) throw wrong("a name");
      numbers.data_type = value.get<std::string>();
    }
  }
}

bool is_expression(std::string_view key) {
  return key.find_first_of("*^$|()[]?+\\") != std::string_view::npos;
}

// The config's extra_config: layers by name, or by a regular expression that may match anywhere in a name.
class ExtraConfig {
 public:
  ExtraConfig(const JsonObject& config, const LayerNumbers& usual) {
    if (!config.has("extra_config")) return;
    const json& extra = config.value().at("extra_config");
    if (!extra.is_object()) throw Error(config.where() + ": extra_config", "is " + text_of(extra), "an object");
    for (const auto& [key, values] : extra.items()) {
      const std::string where = config.where() + ": extra_config: " + key;
      LayerNumbers numbers = usual;
      override_numbers(values, where, numbers);
      names_[key] = numbers;
      if (is_expression(key))
        patterns_.emplace_back(ModuleList({"re:.*(?:" + key + ")"}, ModuleList::Kind::kNames, where), numbers);
    }
  }
  const LayerNumbers* find(std::string_view layer) const {
    if (const auto found = names_.find(layer); found != names_.end()) return &found->second;
    for (const auto& [modules, numbers] : patterns_) {
      if (modules.match(layer) == NameMatch::kExact) return &numbers;
    }
    return nullptr;
  }

 private:
  std::map<std::string, LayerNumbers, std::less<>> names_;
  std::vector<std::pair<ModuleList, LayerNumbers>> patterns_;
};

// How the packing_format lays layers out ("auto_round:auto_gptq"); older files call it backend.
PackedInt packing_of(const JsonObject& config) {
  const std::string key = !config.has("packing_format") && config.has("backend") ? "backend" : "packing_format";
  const std::string format = config.string_or(key, "auto_round:auto_gptq");
  const auto has = [&](std::string_view word) { return format.find(word) != std::string::npos; };
  PackedInt out;
  out.sign = ScaleSign::kAny;
  if (has("awq")) {
    out.packing = IntPacking::kAwqGemm;
  } else if (has("gptq") && !has("gptqmodel")) {
    out.points_less_one = true;
  } else if (format != "auto_round" && !has("gptqmodel") && !has("exllama") && !has("tritonv2")) {
    throw Error(config.where() + ": " + key, "is \"" + format + "\", a layout that cannot be read here",
                "auto_round, auto_round:auto_gptq, auto_round:auto_awq or auto_round:llm_compressor");
  }
  return out;
}

LayerNumbers numbers_of(const JsonObject& config) {
  LayerNumbers out;
  out.bits = config.size(config.has("weight_bits") && !config.has("bits") ? "weight_bits" : "bits", 0, 64);
  out.group_size = config.integer("group_size");
  out.symmetric = config.boolean_or("sym", true);
  out.data_type = config.string_or("data_type", "int");
  return out;
}

PackedInt packed_of(PackedInt packed, const LayerNumbers& numbers, const std::string& where) {
  if (!numbers.data_type.starts_with("int"))
    throw Error(where + ": data_type", "is \"" + numbers.data_type + "\", which this packing_format does not hold",
                "int; other types are stored by packing_format auto_round:llm_compressor");
  packed.bits = static_cast<int>(numbers.bits);
  packed.group_size = numbers.group_size;
  packed.symmetric = numbers.symmetric;
  check_packing(packed, where);
  return packed;
}

std::vector<std::string> blocks_of(const JsonObject& config) {
  std::vector<std::string> out;
  if (!config.has("block_name_to_quantize")) return out;
  const json& blocks = config.value().at("block_name_to_quantize");
  if (blocks.is_string()) {
    const std::string text = blocks.get<std::string>();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      std::string block = text.substr(begin, end - begin);
      block.erase(0, block.find_first_not_of(' '));
      if (!block.empty()) out.push_back(std::move(block));
      begin = end + 1;
    }
    return out;
  }
  return config.strings("block_name_to_quantize");
}

// The tensors are compressed-tensors', and this is the config that would describe them there.
JsonObject compressed_config(const JsonObject& config, const LayerNumbers& numbers) {
  const bool mx = numbers.data_type.starts_with("mx_fp"), nv = numbers.data_type.starts_with("nv_fp");
  const bool known = (mx && (numbers.bits == 4 || numbers.bits == 8)) || (nv && numbers.bits == 4);
  if (!known || numbers.data_type.find("e5m3") != std::string::npos)
    throw Error(config.where() + ": data_type",
                "is \"" + numbers.data_type + "\" in " + std::to_string(numbers.bits) + " bits in this packing_format",
                "mx_fp in 4 or 8 bits or nv_fp in 4, or the config_groups of compressed-tensors");
  json ignored = {"lm_head"};
  if (config.has("extra_config")) {
    for (const auto& [key, values] : config.value().at("extra_config").items()) {
      LayerNumbers layer = numbers;
      override_numbers(values, config.where() + ": extra_config: " + key, layer);
      const bool same = layer.bits == numbers.bits && layer.data_type == numbers.data_type;
      if (!layer.left_float() && !same)
        throw Error(config.where() + ": extra_config: " + key,
                    "mixes types, which cannot be read in this packing_format", "bits 16 or none of its own");
      if (layer.left_float()) ignored.push_back(is_expression(key) ? "re:.*(?:" + key + ")" : key);
    }
  }
  const json weights = {{"num_bits", numbers.bits},   {"type", "float"},
                        {"symmetric", true},          {"strategy", mx ? "group" : "tensor_group"},
                        {"group_size", mx ? 32 : 16}, {"scale_dtype", mx ? "torch.uint8" : "torch.float8_e4m3fn"}};
  std::string format = mx ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized";
  if (numbers.bits == 8) format = "mxfp8-quantized";
  const json whole = {
      {"quant_method", "compressed-tensors"},
      {"format", format},
      {"ignore", ignored},
      {"config_groups",
       {{"group_0", {{"format", format}, {"targets", json::array({"Linear"})}, {"weights", weights}}}}}};
  return JsonObject::parse(whole.dump(-1, ' ', true, json::error_handler_t::replace), config.where());
}

bool is_compressed(const JsonObject& config) {
  const std::string type = config.string_or("data_type", "int");
  return config.string_or("packing_format", "").find("llm_compressor") != std::string::npos ||
         type.starts_with("mx_fp") || type.starts_with("nv_fp");
}

class AutoroundEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "auto-round"; }
  std::string_view what() const override {
    return "AutoRound: 2-, 3-, 4- and 8-bit integers in the packing of GPTQ or AWQ, per-layer numbers; mxfp4, nvfp4";
  }

  bool wrote(const Checkpoint&, const JsonObject* config) const override {
    return says_method(config, {"inc", "intel/auto_round"});
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    if (is_compressed(*config)) return open_compressed(checkpoint, *config);
    const LayerNumbers usual = numbers_of(*config);
    const PackedInt packing = packing_of(*config);
    const std::string where = config->where();
    if (!usual.left_float()) (void)packed_of(packing, usual, where);
    const std::vector<std::string> blocks = blocks_of(*config);
    const ModuleList quantized(blocks, ModuleList::Kind::kPrefixes, where + ": block_name_to_quantize");
    return open_packed_ints(checkpoint, "inc",
                            [=, extra = ExtraConfig(*config, usual), listed = !blocks.empty()](std::string_view layer) {
                              PackedLayer out;
                              const LayerNumbers* own = extra.find(layer);
                              const LayerNumbers& numbers = own == nullptr ? usual : *own;
                              out.left_float_by = own == nullptr ? "block_name_to_quantize" : "extra_config";
                              if (numbers.left_float()) out.left_float = NameMatch::kExact;
                              // Names of blocks differ by a prefix between configs and checkpoints: a hint, no more.
                              if (own == nullptr && listed && quantized.match(layer) == NameMatch::kNone)
                                out.left_float = NameMatch::kLoose;
                              if (!numbers.left_float()) out.packed = packed_of(packing, numbers, where);
                              return out;
                            });
  }

 private:
  static std::unique_ptr<StoredWeights> open_compressed(const Checkpoint& checkpoint, const JsonObject& config) {
    const auto is_it = [](const Encoding* encoding) { return encoding->name() == "compressed-tensors"; };
    const JsonObject own = config.has("config_groups") ? config : compressed_config(config, numbers_of(config));
    return (*std::ranges::find_if(encodings(), is_it))->open(checkpoint, &own);
  }
};

}  // namespace

const Encoding& autoround_encoding() {
  static const AutoroundEncoding encoding;
  return encoding;
}

}  // namespace omni
