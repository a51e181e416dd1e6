#include "checkpoint/encoding_awq.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/packed_int.h"

namespace omni {
namespace {

// The first of two keys that the config has: AutoAWQ's own file (quant_config.json) spells them another way.
std::string key_of(const JsonObject& config, std::string_view key, std::string_view other) {
  return std::string(config.has(other) && !config.has(key) ? other : key);
}

IntPacking packing_of(const JsonObject& config) {
  // GPTQModel writes format where AutoAWQ writes version.
  std::string version = config.string_or("version", config.string_or("checkpoint_format", "gemm"));
  for (char& c : version) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (version == "gemm") return IntPacking::kAwqGemm;
  if (version == "gemv") return IntPacking::kAwqGemv;
  throw Error(config.where() + ": version", "is \"" + version + "\", a layout that cannot be read here",
              "gemm or gemv; convert it, or quantize the model anew with version gemm");
}

class AwqEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "awq"; }
  std::string_view what() const override { return "AutoAWQ: 4-bit integers in groups, layouts gemm and gemv"; }

  bool wrote(const Checkpoint&, const JsonObject* config) const override {
    if (says_method(config, {"awq", "awq_marlin"})) return true;
    return config != nullptr && !config->has("quant_method") && config->has("w_bit") && config->has("q_group_size");
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    PackedInt packed;
    packed.packing = packing_of(*config);
    packed.bits = static_cast<int>(config->size(key_of(*config, "bits", "w_bit"), 0, 64));
    packed.group_size = config->integer(key_of(*config, "group_size", "q_group_size"));
    packed.symmetric = !config->boolean_or("zero_point", true);
    if (config->has("autoround_version")) packed.sign = ScaleSign::kAny;
    check_packing(packed, config->where());
    std::vector<std::string> skipped;
    if (config->has("modules_to_not_convert")) skipped = config->strings("modules_to_not_convert");
    const ModuleList list(skipped, ModuleList::Kind::kPrefixes, config->where() + ": modules_to_not_convert");
    return open_packed_ints(checkpoint, "awq", [packed, list](std::string_view layer) {
      return PackedLayer{list.match(layer), "modules_to_not_convert", packed};
    });
  }
};

}  // namespace

const Encoding& awq_encoding() {
  static const AwqEncoding encoding;
  return encoding;
}

}  // namespace omni
