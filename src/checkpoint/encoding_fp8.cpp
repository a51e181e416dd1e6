#include "checkpoint/encoding_fp8.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/module_list.h"
#include "checkpoint/stored_linear.h"

namespace omni {
namespace {

constexpr std::string_view kMarker = "scaled_fp8";  // ComfyUI's, at the root or below the model's prefix

bool is_fp8(DType dtype) {
  return dtype == DType::kF8E4M3 || dtype == DType::kF8E5M2;
}

// What the metadata says of all layers.
struct Declared {
  enum class Kind : uint8_t { kConfig, kMarker, kScalesOnly } kind = Kind::kScalesOnly;
  ModuleList ignored;
  bool has_list = false;
  std::optional<Group> block;
  ActQuant act = ActQuant::kNone;
  DType format = DType::kNone;  // kNone: as the tensors are
  bool scaled = true;           // kMarker: some layer has a scale
};

std::optional<Group> read_block(const JsonObject& config) {
  if (!config.has("weight_block_size")) return std::nullopt;
  const std::vector<int64_t> sizes = config.integers("weight_block_size");
  const bool good =
      sizes.size() == 2 && std::ranges::all_of(sizes, [](int64_t size) { return size > 0 && size <= 1 << 20; });
  if (good) return Group{static_cast<int>(sizes[0]), static_cast<int>(sizes[1])};
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : ", ") + std::to_string(size);
  throw Error(config.where() + ": weight_block_size", "is [" + text + "]", "two sizes > 0");
}

// The names under every key that tools use for the list.
std::vector<std::string> ignored_layers(const JsonObject& config) {
  std::vector<std::string> out;
  for (const char* key : {"modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules"}) {
    if (!config.has(key)) continue;
    for (std::string& name : config.strings(key)) out.push_back(std::move(name));
  }
  return out;
}

Declared read_config(const JsonObject& config) {
  Declared out{.kind = Declared::Kind::kConfig};
  const std::vector<std::string> ignored = ignored_layers(config);
  out.ignored = ModuleList(ignored, ModuleList::Kind::kPrefixes, config.where());
  out.has_list = !ignored.empty();
  out.block = read_block(config);
  const std::string scheme = config.string_or("activation_scheme", "dynamic");
  if (scheme != "dynamic" && scheme != "static")
    throw Error(config.where() + ": activation_scheme", "is '" + scheme + "'", "dynamic or static");
  // Inputs of block-scaled weights are quantized in groups, for which there is no kernel: they stay float.
  if (!out.block) out.act = scheme == "static" ? ActQuant::kStatic : ActQuant::kPerToken;
  const std::string format = config.string_or("fmt", "");
  if (format == "e4m3") out.format = DType::kF8E4M3;
  if (format == "e5m2") out.format = DType::kF8E5M2;
  return out;
}

class Fp8Weights final : public StoredWeights {
 public:
  Fp8Weights(const Checkpoint& checkpoint, Declared declared)
      : checkpoint_(checkpoint), declared_(std::move(declared)), kv_scales_(read_kv_scales(checkpoint)) {}

  std::string_view method() const override { return "fp8"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const std::optional<LinearSpelling> spelling = spell(name);
    return spelling ? describe_linear(checkpoint_, name, *spelling) : describe_float(checkpoint_, name);
  }

  Weight read(std::string_view name) const override {
    const std::optional<LinearSpelling> spelling = spell(name);
    return spelling ? read_linear(checkpoint_, name, *spelling) : read_plain(checkpoint_, name);
  }

  std::vector<std::string> weights() const override { return matrix_modules(checkpoint_); }

  std::optional<KvScales> kv_scales(std::string_view attention) const override {
    const auto found = kv_scales_.find(attention);
    return found == kv_scales_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  // How a module's weight is spelled; nullopt: as floats, or not at all.
  std::optional<LinearSpelling> spell(std::string_view name) const {
    const Evidence evidence = weight_evidence(checkpoint_, name);
    if (evidence == Evidence::kNone) return std::nullopt;
    if (evidence == Evidence::kFloat && stays_float(name)) return std::nullopt;
    if (declared_.ignored.match(name) == NameMatch::kExact) return std::nullopt;
    LinearSpelling out;
    const Checkpoint::Entry* weight = checkpoint_.find(std::string(name) + ".weight");
    out.codes = weight != nullptr && is_fp8(weight->dtype) ? weight->dtype : DType::kF8E4M3;
    if (declared_.format != DType::kNone) out.codes = declared_.format;
    out.group = declared_.block;
    out.ragged = true;
    out.scale_parts = {"weight_scale_inv", "weight_scale"};
    out.input_scale_parts = {"input_scale", "activation_scale"};
    out.other_parts = {"comfy_quant", "input_scale_ub", "k_scale", "output_scale", "v_scale"};
    out.act = declared_.act;
    out.act_codes = DType::kF8E4M3;
    out.declared = "quantization_config";
    if (declared_.kind == Declared::Kind::kConfig) return out;
    out.declared = "its dtype";
    if (declared_.kind == Declared::Kind::kMarker) {
      out.scale_parts = {"scale_weight"};
      out.input_scale_parts = {"scale_input"};
      out.declared = "the marker " + std::string(kMarker);
      out.unit_scale = !declared_.scaled || !names_linear(name);
    } else if (checkpoint_.find(std::string(name) + ".input_scale") != nullptr) {
      out.act = ActQuant::kStatic;
    }
    return out;
  }

  // Whether a float matrix is none of those that the metadata calls quantized.
  bool stays_float(std::string_view name) const {
    if (declared_.kind != Declared::Kind::kConfig || !names_linear(name)) return true;
    if (declared_.ignored.match(name) != NameMatch::kNone) return true;
    return name.substr(name.rfind('.') + 1) == "lm_head";  // never converted, and not always listed
  }

  const Checkpoint& checkpoint_;
  Declared declared_;
  KvScaleMap kv_scales_;
};

// The marker of a file by ComfyUI.
bool has_marker(const Checkpoint& checkpoint) {
  return std::ranges::any_of(checkpoint.names(), [&](const std::string& name) {
    const bool named = name == kMarker || name.ends_with("." + std::string(kMarker));
    return named && is_fp8(checkpoint.find(name)->dtype);
  });
}

bool ends_with_part(const std::string& name, std::string_view part) {
  return name.ends_with(part) && name.size() > part.size();
}

// Whether fp8 weights lie there with scales under the usual names.
bool has_scaled_weights(const Checkpoint& checkpoint) {
  constexpr std::string_view kScale = "_scale", kInverse = "_scale_inv";
  return std::ranges::any_of(checkpoint.names(), [&](const std::string& name) {
    const std::string_view suffix = ends_with_part(name, ".weight_scale")       ? kScale
                                    : ends_with_part(name, ".weight_scale_inv") ? kInverse
                                                                                : std::string_view();
    if (suffix.empty()) return false;
    const Checkpoint::Entry* weight = checkpoint.find(name.substr(0, name.size() - suffix.size()));
    return weight != nullptr && is_fp8(weight->dtype);
  });
}

class Fp8Encoding final : public Encoding {
 public:
  std::string_view name() const override { return "fp8"; }
  std::string_view what() const override {
    return "transformers, vLLM, ComfyUI: 8-bit floats with a scale a tensor, channel or block";
  }

  bool wrote(const Checkpoint& checkpoint, const JsonObject* config) const override {
    if (config == nullptr) return has_marker(checkpoint) || has_scaled_weights(checkpoint);
    const std::string method = config->string_or("quant_method", "");
    return method == "fp8" || method == "fbgemm_fp8";
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    if (config != nullptr) return std::make_unique<Fp8Weights>(checkpoint, read_config(*config));
    Declared declared;
    if (has_marker(checkpoint)) {
      declared.kind = Declared::Kind::kMarker;
      declared.scaled = std::ranges::any_of(
          checkpoint.names(), [](const std::string& name) { return ends_with_part(name, ".scale_weight"); });
    }
    return std::make_unique<Fp8Weights>(checkpoint, std::move(declared));
  }
};

}  // namespace

const Encoding& fp8_encoding() {
  static const Fp8Encoding encoding;
  return encoding;
}

}  // namespace omni
