#include "checkpoint/encoding_gptq.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/packed_int.h"

namespace omni {
namespace {

using nlohmann::json;

// An entry of GPTQModel's `dynamic`: "-:REGEX" leaves layers in float, "+:REGEX" or "REGEX" changes their numbers.
struct DynamicRule {
  bool left_float = false;
  ModuleList modules;
  PackedInt packed;
};

int number_of(const json& value, const std::string& where) {
  if (!value.is_number_integer() || value.get<int64_t>() < -1 || value.get<int64_t>() > (1 << 24))
    throw Error(where, "is " + value.dump(-1, ' ', true, json::error_handler_t::replace), "an integer");
  return value.get<int>();
}

bool flag_of(const json& value, const std::string& where) {
  if (!value.is_boolean())
    throw Error(where, "is " + value.dump(-1, ' ', true, json::error_handler_t::replace), "true or false");
  return value.get<bool>();
}

void override_numbers(const json& values, const std::string& where, PackedInt& packed) {
  for (const auto& [key, value] : values.items()) {
    const std::string at = where + ": " + key;
    if (key == "bits") packed.bits = number_of(value, at);
    if (key == "group_size") packed.group_size = number_of(value, at);
    if (key == "sym") packed.symmetric = flag_of(value, at);
    if (key == "desc_act") packed.reordered = flag_of(value, at);
  }
  check_packing(packed, where);
}

std::vector<DynamicRule> read_dynamic(const JsonObject& config, const PackedInt& packed) {
  std::vector<DynamicRule> out;
  if (!config.has("dynamic")) return out;
  const json& dynamic = config.value().at("dynamic");
  if (!dynamic.is_object()) throw Error(config.where() + ": dynamic", "is no object", "rules by regular expression");
  for (const auto& [key, values] : dynamic.items()) {
    const std::string where = config.where() + ": dynamic: " + key;
    const bool marked = key.starts_with("-:") || key.starts_with("+:");
    DynamicRule rule;
    rule.left_float = key.starts_with("-:");
    rule.modules = ModuleList({"re:" + (marked ? key.substr(2) : key)}, ModuleList::Kind::kNames, where);
    rule.packed = packed;
    if (!rule.left_float && values.is_object()) override_numbers(values, where, rule.packed);
    out.push_back(std::move(rule));
  }
  return out;
}

// Whether zero points are stored one too small: the first format, which no other key names.
bool points_less_one(const JsonObject& config) {
  const std::string format = config.string_or("checkpoint_format", config.string_or("format", "gptq"));
  if (format == "gptq") return true;
  if (format == "gptq_v2") return false;
  throw Error(config.where() + ": checkpoint_format", "is \"" + format + "\", a layout that cannot be read here",
              "gptq or gptq_v2; convert it, or quantize the model anew with format gptq");
}

// AutoRound writes this format too, and its symmetric scales may be negative.
bool by_autoround(const JsonObject& config) {
  return config.has("autoround_version") || config.string_or("provider", "") == "auto-round";
}

class GptqEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "gptq"; }
  std::string_view what() const override {
    return "GPTQModel, AutoGPTQ: 2-, 3-, 4- and 8-bit integers in groups, with and without desc_act";
  }

  bool wrote(const Checkpoint&, const JsonObject* config) const override {
    if (says_method(config, {"gptq", "gptq_marlin"})) return true;  // else AutoGPTQ's quantize_config.json
    return config != nullptr && !config->has("quant_method") && config->has("bits") && config->has("group_size") &&
           config->where().ends_with("quantize_config.json");
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    PackedInt packed;
    packed.bits = static_cast<int>(config->size("bits", 0, 64));
    packed.group_size = config->integer("group_size");
    packed.symmetric = config->boolean_or("sym", true);
    packed.reordered = config->boolean_or("desc_act", true);
    packed.points_less_one = points_less_one(*config);
    if (by_autoround(*config)) packed.sign = ScaleSign::kAny;
    check_packing(packed, config->where());
    if (const std::string words = config->string_or("pack_dtype", "int32"); words != "int32")
      throw Error(config->where() + ": pack_dtype", "is \"" + words + "\"", "int32");
    std::vector<std::string> skipped;
    if (config->has("modules_to_not_convert")) skipped = config->strings("modules_to_not_convert");
    const ModuleList list(skipped, ModuleList::Kind::kPrefixes, config->where() + ": modules_to_not_convert");
    return open_packed_ints(checkpoint, "gptq",
                            [packed, list, rules = read_dynamic(*config, packed)](std::string_view layer) {
                              return layer_of(layer, packed, list, rules);
                            });
  }

 private:
  static PackedLayer layer_of(std::string_view layer, const PackedInt& packed, const ModuleList& skipped,
                              const std::vector<DynamicRule>& rules) {
    for (const DynamicRule& rule : rules) {
      if (rule.modules.match(layer) != NameMatch::kExact) continue;
      return {rule.left_float ? NameMatch::kExact : NameMatch::kNone, "dynamic", rule.packed};
    }
    return {skipped.match(layer), "modules_to_not_convert", packed};
  }
};

}  // namespace

const Encoding& gptq_encoding() {
  static const GptqEncoding encoding;
  return encoding;
}

}  // namespace omni
