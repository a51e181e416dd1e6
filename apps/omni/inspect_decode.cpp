#include <algorithm>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "inspect_parts.h"
#include "models/decoder_names.h"
#include "models/flux/flux.h"
#include "quant/codec.h"
#include "quant/config.h"

namespace omni::cli {
namespace {

constexpr std::string_view kSuffix = ".weight";

std::string without_suffix(const std::string& name) {
  return name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// A number of GGUF metadata; 0 when there is none.
int64_t metadata_number(const Checkpoint& checkpoint, const std::string& key) {
  const std::string text = checkpoint.metadata(key);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The name maps of the model that the checkpoint says it holds; none when it is of no model known here.
std::vector<NameMap> known_maps(const Checkpoint& checkpoint) {
  for (const char* root : {"", "model.diffusion_model."}) {
    const Checkpoint::Entry* entry = checkpoint.find(std::string(root) + "img_in.weight");
    const bool flux = entry != nullptr && entry->shape.rank() == 2 &&
                      checkpoint.find(std::string(root) + "double_blocks.0.img_attn.qkv.weight") != nullptr;
    if (!flux) continue;
    FluxConfig config;
    config.width = entry->shape[0];
    return FluxTransformer::names(config);
  }
  const std::string architecture = checkpoint.metadata("general.architecture");
  const std::vector<std::string> decoders = gguf_decoder_architectures();
  if (std::ranges::find(decoders, architecture) == decoders.end()) return {};
  const int64_t heads = metadata_number(checkpoint, architecture + ".attention.head_count");
  const int64_t kv_heads = metadata_number(checkpoint, architecture + ".attention.head_count_kv");
  return {gguf_decoder_names(architecture, heads, kv_heads > 0 ? kv_heads : heads)};
}

// By the checkpoint's own name.
std::optional<Tensor> decode_own(const InspectPart& part, const std::string& name) {
  const Checkpoint& checkpoint = *part.checkpoint;
  const StoredWeights& stored = *part.stored.weights;
  for (const std::string& full : {name, name + std::string(kSuffix)}) {
    const Checkpoint::Entry* entry = checkpoint.find(full);
    if (entry != nullptr && is_float(entry->dtype)) return to_f32(checkpoint.tensor(full));
  }
  const std::string base = without_suffix(name);
  if (const std::optional<StoredWeight> weight = stored.describe(base)) {
    const Tensor values = decode(stored.read(base));
    const Checkpoint::Entry* entry = weight->tensors.empty() ? nullptr : checkpoint.find(weight->tensors[0]);
    const bool other_rank =
        entry != nullptr && entry->dtype == DType::kNone && entry->shape.count() == values.shape().count();
    return other_rank ? values.reshaped(entry->shape) : values;  // a stack, or a row of blocks
  }
  const Checkpoint::Entry* entry = checkpoint.find(name);
  if (entry == nullptr) return std::nullopt;
  if (dtype_info(entry->dtype).storage_bits < 8)
    throw Error(entry->file.string() + ": " + name, "holds packed codes of " + std::string(dtype_name(entry->dtype)),
                "a weight, or a tensor of whole values");
  return to_f32(checkpoint.tensor(name));
}

// By our name, through the model's name map.
std::optional<Tensor> decode_mapped(const InspectPart& part, const std::string& name) {
  std::vector<NameMap> maps = known_maps(*part.checkpoint);
  if (maps.empty()) return std::nullopt;
  WeightSource source("model", open_checkpoint(part.checkpoint->where()), part.config, std::move(maps));
  const std::string base = without_suffix(name);
  for (const std::string& full : {name, base + std::string(kSuffix)}) {
    const std::optional<Shape> shape = source.shape(full);
    if (shape && shape->rank() == 1) return source.tensor(full, *shape);
  }
  const std::optional<Shape> shape = source.shape(base);
  if (!shape || shape->rank() != 2) return std::nullopt;
  return decode(source.weight(base, (*shape)[0], (*shape)[1]));
}

}  // namespace

Tensor decode_by_name(const std::vector<InspectPart>& parts, const std::string& name) {
  std::vector<std::string> known;
  for (const InspectPart& part : parts) {
    const std::string prefix = part.path("");
    if (!name.starts_with(prefix)) continue;
    if (std::optional<Tensor> values = decode_own(part, name.substr(prefix.size()))) return *values;
    if (std::optional<Tensor> values = decode_mapped(part, name.substr(prefix.size()))) return *values;
  }
  for (const InspectPart& part : parts) {
    for (const InspectRow& row : inspect_rows(part)) known.push_back(part.path(row.name));
  }
  const std::string near = closest_name(without_suffix(name), known);
  throw Error(parts[0].component.empty() ? parts[0].checkpoint->where() : "the model",
              "there is no weight '" + name + "'" + (near.empty() ? "" : ": did you mean " + near + "?"),
              "one of the " + std::to_string(known.size()) + " names that `omni inspect` lists");
}

}  // namespace omni::cli
