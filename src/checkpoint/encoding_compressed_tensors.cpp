#include "checkpoint/encoding_compressed_tensors.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/compressed_tensors_config.h"
#include "checkpoint/encoding_plain.h"

namespace omni {
namespace {

using ConfigGroup = CompressedTensorsConfig::ConfigGroup;

class CompressedTensors final : public StoredWeights {
 public:
  CompressedTensors(const Checkpoint& checkpoint, const JsonObject& config)
      : checkpoint_(checkpoint), config_(config), kv_scales_(read_kv_scales(checkpoint)) {
    if (config_.quantizes_kv_cache()) {
      check_kv_scales(checkpoint_, kv_scales_, [&](std::string_view module) { return find_group(module) != nullptr; });
    }
  }

  std::string_view method() const override { return "compressed-tensors"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const ConfigGroup* group = find_group(name);
    if (group == nullptr) return describe_float(checkpoint_, name);
    return describe_linear(checkpoint_, name, group->spelling);
  }

  Weight read(std::string_view name) const override {
    const ConfigGroup* group = find_group(name);
    if (group == nullptr) return read_plain(checkpoint_, name);
    return read_linear(checkpoint_, name, group->spelling);
  }

  std::vector<std::string> weights() const override { return matrix_modules(checkpoint_); }

  std::optional<KvScales> kv_scales(std::string_view attention) const override {
    const auto found = kv_scales_.find(attention);
    return found == kv_scales_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  // The group that quantizes a module; nullptr: it is left in float, or is no weight at all.
  const ConfigGroup* find_group(std::string_view name) const {
    const Evidence evidence = weight_evidence(checkpoint_, name);
    if (evidence == Evidence::kNone) return nullptr;
    const bool parts = evidence == Evidence::kQuantized;
    const NameMatch ignored = config_.ignored(name);
    if (ignored == NameMatch::kExact || (ignored == NameMatch::kLoose && !parts)) return nullptr;
    const ConfigGroup* group = config_.group_of(name, parts);
    return group == nullptr || group->dense ? nullptr : group;
  }

  const Checkpoint& checkpoint_;
  CompressedTensorsConfig config_;
  KvScaleMap kv_scales_;
};

class CompressedTensorsEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "compressed-tensors"; }
  std::string_view what() const override {
    return "llm-compressor: fp8, int8, packed integers of 2 to 8 bits, NVFP4, MXFP4, MXFP8, mixed";
  }

  bool wrote(const Checkpoint&, const JsonObject* config) const override {
    if (config == nullptr) return false;
    const std::string method = config->string_or("quant_method", "");
    const bool sparse = method == "sparseml" || (method.empty() && config->has("config_groups") &&
                                                 !config->has("quant_algo") && !config->has("producer"));
    return method == "compressed-tensors" || method == "compressed_tensors" || sparse;
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    return std::make_unique<CompressedTensors>(checkpoint, *config);
  }
};

}  // namespace

const Encoding& compressed_tensors_encoding() {
  static const CompressedTensorsEncoding encoding;
  return encoding;
}

}  // namespace omni
