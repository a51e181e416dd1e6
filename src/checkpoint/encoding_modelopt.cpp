#include "checkpoint/encoding_modelopt.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/module_list.h"
#include "checkpoint/stored_linear.h"

namespace omni {
namespace {

using Packing = LinearSpelling::Packing;

constexpr std::string_view kMixed = "MIXED_PRECISION";

// One algorithm whose tensors are read, and the method that it makes the checkpoint one of.
struct Algorithm {
  std::string_view name, method;
};
constexpr std::array kAlgorithms = {
    Algorithm{"FP8", "modelopt"},
    Algorithm{"FP8_PB_WO", "modelopt"},
    Algorithm{"FP8_PER_CHANNEL_PER_TOKEN", "modelopt"},
    Algorithm{"MXFP8", "modelopt_mxfp8"},
    Algorithm{"NVFP4", "modelopt_fp4"},
    Algorithm{"NVFP4_AWQ", "modelopt_fp4"},
    Algorithm{"W4A16_NVFP4", "modelopt_fp4"},
    Algorithm{"W8A16", "modelopt"},
    Algorithm{"W8A8_SQ_PER_CHANNEL", "modelopt"},
};

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

const Algorithm& find_algorithm(const std::string& name, const std::string& where) {
  const auto found = std::ranges::find(kAlgorithms, upper(name), &Algorithm::name);
  if (found != kAlgorithms.end()) return *found;
  std::string known(kMixed);
  for (const Algorithm& algorithm : kAlgorithms) known += ", " + std::string(algorithm.name);
  throw Error(where + ": quant_algo", "is '" + name + "', which cannot be read", "one of " + known);
}

int group_size(const JsonObject& object, int otherwise) {
  if (!object.has("group_size")) return otherwise;
  const int64_t size = object.integer("group_size");
  if (size < 1 || size > 1 << 20)
    throw Error(object.where() + ": group_size", "is " + std::to_string(size), "a size > 0");
  return static_cast<int>(size);
}

// How the layers of one algorithm lie there. settings: the object that names it, with its group_size.
LinearSpelling spell(const Algorithm& algorithm, const JsonObject& settings) {
  LinearSpelling out;
  out.codes = DType::kF8E4M3;
  out.input_scale_parts = {"input_scale"};
  out.other_parts = {"k_scale", "v_scale"};
  out.declared = "quant_algo " + std::string(algorithm.name);
  out.smooth_part = "pre_quant_scale";
  out.act_codes = DType::kF8E4M3;
  if (algorithm.name == "FP8") {
    out.group = Group{0, 0};
    out.act = ActQuant::kStatic;
  } else if (algorithm.name == "FP8_PER_CHANNEL_PER_TOKEN") {
    out.group = Group{1, 0};
    out.act = ActQuant::kPerToken;
  } else if (algorithm.name == "FP8_PB_WO") {
    const int size = group_size(settings, 128);
    out.group = Group{size, size};
    out.ragged = true;
  } else if (algorithm.name == "MXFP8") {
    out.group = Group{1, group_size(settings, 32)};
    out.exponent_scales = true;
  } else if (algorithm.name.starts_with("W8A")) {
    out.codes = out.act_codes = DType::kI8;
    out.group = Group{1, 0};
    if (algorithm.name != "W8A16") out.act = ActQuant::kStatic;
  } else {  // NVFP4: inputs stay float, as no kernel quantizes them in groups
    out.codes = DType::kF4E2M1;
    out.packing = Packing::kNibbles;
    out.group = Group{1, group_size(settings, 16)};
    out.outer_part = "weight_scale_2";
  }
  return out;
}

// quant_algo of a config_groups entry that does not name it.
std::string algorithm_of_group(const JsonObject& group) {
  if (group.has("quant_algo")) return group.string("quant_algo");
  const JsonObject weights = group.object("weights");
  const int64_t bits = weights.integer("num_bits");
  const std::string type = weights.string("type");
  if (type == "float" && bits == 4) return group.has("input_activations") ? "NVFP4" : "W4A16_NVFP4";
  if (type == "float" && bits == 8) {
    if (weights.has("group_size")) return "MXFP8";
    return weights.string_or("strategy", "tensor") == "channel" ? "FP8_PER_CHANNEL_PER_TOKEN" : "FP8";
  }
  return std::to_string(bits) + "-bit " + type;
}

// The metadata in either spelling, read once.
class ModelOptConfig {
 public:
  explicit ModelOptConfig(const JsonObject& root)
      : details_(root.has("quantization") ? root.object("quantization") : root) {
    std::vector<std::string> excluded;
    for (const char* key : {"exclude_modules", "ignore"}) {
      if (!details_.has(key)) continue;
      for (std::string& name : details_.strings(key)) excluded.push_back(std::move(name));
    }
    excluded_ = ModuleList(excluded, ModuleList::Kind::kWildcards, details_.where());
    kv_cache_ = details_.has("kv_cache_quant_algo") || details_.has("kv_cache_scheme");
    const std::string algorithm = details_.string_or("quant_algo", "");
    if (upper(algorithm) == kMixed) {
      method_ = "modelopt_mixed";
      read_layers();
    } else if (!algorithm.empty()) {
      const Algorithm& found = find_algorithm(algorithm, details_.where());
      method_ = found.method;
      all_ = spell(found, details_);
      all_->group = with_group_size(found, *all_);
    } else if (details_.has("config_groups")) {
      read_groups();
    }
  }

  std::string_view method() const { return method_; }
  NameMatch excluded(std::string_view module) const { return excluded_.match(module); }
  bool quantizes_kv_cache() const { return kv_cache_; }
  bool is_mixed() const { return !all_; }

  // How a module is spelled when it is quantized; nullptr: no entry names it.
  const LinearSpelling* spelling_of(std::string_view module, bool has_parts) const {
    if (all_) return &*all_;
    const LinearSpelling* loose = nullptr;
    for (const auto& [names, spelling] : layers_) {
      const NameMatch match = names.match(module);
      if (match == NameMatch::kExact) return &spelling;
      if (match == NameMatch::kLoose && has_parts) loose = &spelling;
    }
    return loose;
  }

 private:
  // Inline configs keep the group size in their only group.
  std::optional<Group> with_group_size(const Algorithm& algorithm, const LinearSpelling& spelling) const {
    if (details_.has("group_size") || !details_.has("config_groups")) return spelling.group;
    const JsonObject groups = details_.object("config_groups");
    if (groups.keys().size() != 1) return spelling.group;
    const JsonObject group = groups.object(groups.keys().front());
    return group.has("weights") ? spell(algorithm, group.object("weights")).group : spelling.group;
  }

  void read_layers() {
    if (!details_.has("quantized_layers")) return read_groups();
    const JsonObject layers = details_.object("quantized_layers");
    std::map<std::pair<std::string, int>, std::vector<std::string>> names;  // by algorithm and group size
    std::map<std::pair<std::string, int>, JsonObject> settings;
    for (const std::string& name : layers.keys()) {
      const JsonObject layer = layers.object(name);
      const std::pair key{std::string(find_algorithm(layer.string("quant_algo"), layer.where()).name),
                          group_size(layer, 0)};
      names[key].push_back(name);
      settings.emplace(key, layer);
    }
    for (const auto& [key, layer] : settings) {
      layers_.emplace_back(ModuleList(names[key], ModuleList::Kind::kNames, layers.where()),
                           spell(find_algorithm(key.first, layer.where()), layer));
    }
  }

  void read_groups() {
    const JsonObject groups = details_.object("config_groups");
    for (const std::string& key : groups.keys()) {
      const JsonObject group = groups.object(key);
      const Algorithm& algorithm = find_algorithm(algorithm_of_group(group), group.where());
      if (method_.empty()) method_ = algorithm.method;
      const JsonObject settings = group.has("weights") ? group.object("weights") : group;
      const std::vector<std::string> targets = group.strings("targets");
      if (targets == std::vector<std::string>{"Linear"}) {
        all_ = spell(algorithm, settings);
      } else {
        layers_.emplace_back(ModuleList(targets, ModuleList::Kind::kWildcards, group.where() + ": targets"),
                             spell(algorithm, settings));
      }
    }
  }

  JsonObject details_;
  std::string_view method_;
  ModuleList excluded_;
  bool kv_cache_ = false;
  std::optional<LinearSpelling> all_;
  std::vector<std::pair<ModuleList, LinearSpelling>> layers_;
};

class ModelOptWeights final : public StoredWeights {
 public:
  ModelOptWeights(const Checkpoint& checkpoint, const JsonObject& config)
      : checkpoint_(checkpoint), config_(config), kv_scales_(read_kv_scales(checkpoint)) {
    if (config_.quantizes_kv_cache()) {
      check_kv_scales(checkpoint_, kv_scales_, [&](std::string_view module) { return find(module) != nullptr; });
    }
  }

  std::string_view method() const override { return config_.method(); }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const LinearSpelling* spelling = find(name);
    return spelling != nullptr ? describe_linear(checkpoint_, name, *spelling) : describe_float(checkpoint_, name);
  }

  Weight read(std::string_view name) const override {
    const LinearSpelling* spelling = find(name);
    return spelling != nullptr ? read_linear(checkpoint_, name, *spelling) : read_plain(checkpoint_, name);
  }

  std::vector<std::string> weights() const override { return matrix_modules(checkpoint_); }

  std::optional<KvScales> kv_scales(std::string_view attention) const override {
    const auto found = kv_scales_.find(attention);
    return found == kv_scales_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  // How a module's weight is spelled; nullptr: as floats, or not at all.
  const LinearSpelling* find(std::string_view name) const {
    const Evidence evidence = weight_evidence(checkpoint_, name);
    if (evidence == Evidence::kNone) return nullptr;
    const bool parts = evidence == Evidence::kQuantized;
    const NameMatch excluded = config_.excluded(name);
    if (excluded == NameMatch::kExact || (excluded == NameMatch::kLoose && !parts)) return nullptr;
    if (!parts && !config_.is_mixed() && !names_linear(name)) return nullptr;
    return config_.spelling_of(name, parts);
  }

  const Checkpoint& checkpoint_;
  ModelOptConfig config_;
  KvScaleMap kv_scales_;
};

class ModelOptEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "modelopt"; }
  std::string_view what() const override { return "NVIDIA ModelOpt: FP8, NVFP4, MXFP8, a mix of them a layer"; }

  bool wrote(const Checkpoint&, const JsonObject* config) const override {
    if (config == nullptr) return false;
    const std::string method = config->string_or("quant_method", "");
    if (!method.empty()) return method.starts_with("modelopt");
    if (config->has("producer")) return config->object("producer").string_or("name", "") == "modelopt";
    return config->has("quant_algo") ||
           (config->has("quantization") && config->object("quantization").has("quant_algo"));
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    return std::make_unique<ModelOptWeights>(checkpoint, *config);
  }
};

}  // namespace

const Encoding& modelopt_encoding() {
  static const ModelOptEncoding encoding;
  return encoding;
}

}  // namespace omni
