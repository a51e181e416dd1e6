#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/packed_int.h"
#include "checkpoint/packed_words.h"
#include "checkpoint/quantized_neighbours.h"
#include "quant/method.h"

namespace omni {
namespace {

constexpr int64_t kLargestGroup = int64_t{1} << 24;

std::string part(std::string_view name, std::string_view suffix) {
  return std::string(name) + std::string(suffix);
}

class PackedIntWeights final : public StoredWeights {
 public:
  PackedIntWeights(const Checkpoint& checkpoint, std::string method, PackedLayers layers)
      : checkpoint_(checkpoint), method_(std::move(method)), layers_(std::move(layers)) {}
  std::string_view method() const override { return method_; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const PackedLayer layer = layers_(name);
    const std::string weight = part(name, ".weight");
    if (!is_packed(name)) {
      std::optional<StoredWeight> plain = describe_plain(checkpoint_, name);
      if (plain && layer.left_float == NameMatch::kNone) check_neighbours(checkpoint_, name, ".qweight");
      return plain;
    }
    const std::string qweight = part(name, ".qweight");
    if (layer.left_float == NameMatch::kExact)
      throw Error(tensor_where(checkpoint_, qweight),
                  "is quantized, though " + layer.left_float_by + " leaves the layer in float", weight);
    if (checkpoint_.find(weight) != nullptr)
      throw Error(tensor_where(checkpoint_, weight), "is there beside " + qweight, "one of the two");
    return describe_packed(checkpoint_, name, layer.packed);
  }

  Weight read(std::string_view name) const override {
    if (!is_packed(name)) return read_plain(checkpoint_, name);
    return read_packed(checkpoint_, name, layers_(name).packed);
  }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const std::string& tensor : checkpoint_.names()) {
      if (is_plain_weight(checkpoint_, tensor)) out.push_back(tensor.substr(0, tensor.rfind('.')));
      for (const std::string_view suffix : {".qweight", ".qzeros", ".scales"}) {
        if (tensor.ends_with(suffix)) out.push_back(tensor.substr(0, tensor.size() - suffix.size()));
      }
    }
    return sorted_names(std::move(out));
  }

 private:
  bool is_packed(std::string_view name) const {
    for (const std::string_view suffix : {".qweight", ".qzeros", ".scales"}) {
      if (checkpoint_.find(part(name, suffix)) != nullptr) return true;
    }
    return false;
  }

  const Checkpoint& checkpoint_;
  std::string method_;
  PackedLayers layers_;
};

}  // namespace

void check_packing(const PackedInt& packed, const std::string& where) {
  const bool awq = packed.packing != IntPacking::kGptq;
  const bool known = awq ? packed.bits == 4 : std::ranges::find(kPackedBits, packed.bits) != kPackedBits.end();
  if (!known) throw Error(where, "bits is " + std::to_string(packed.bits), awq ? "bits 4" : "bits 2, 3, 4 or 8");
  if (packed.group_size != -1 && (packed.group_size < 1 || packed.group_size > kLargestGroup))
    throw Error(where, "group_size is " + std::to_string(packed.group_size), "group_size -1 or > 0");
}

std::vector<std::string> sorted_names(std::vector<std::string> names) {
  std::ranges::sort(names);
  const auto twice = std::unique(names.begin(), names.end());
  names.erase(twice, names.end());
  return names;
}

bool says_method(const JsonObject* config, std::initializer_list<std::string_view> names) {
  if (config == nullptr || !config->value().contains("quant_method")) return false;
  const nlohmann::json& method = config->value().at("quant_method");
  if (!method.is_string()) return false;
  return std::ranges::find(names, fold_method(method.get<std::string>())) != names.end();
}

std::unique_ptr<StoredWeights> open_packed_ints(const Checkpoint& checkpoint, std::string method, PackedLayers layers) {
  return std::make_unique<PackedIntWeights>(checkpoint, std::move(method), std::move(layers));
}

}  // namespace omni
