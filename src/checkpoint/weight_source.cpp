#include "checkpoint/weight_source.h"

#include <cassert>
#include <utility>

#include "base/error.h"
#include "checkpoint/dummy.h"

namespace omni {
namespace {

// The part of the component's config that says how its weights are stored.
std::optional<JsonObject> quantization_config(const Checkpoint& checkpoint, const JsonObject& config) {
  if (config.has("quantization_config")) return config.object("quantization_config");
  if (config.has("text_config") && config.object("text_config").has("quantization_config")) {
    return config.object("text_config").object("quantization_config");
  }
  const std::filesystem::path beside = std::filesystem::path(checkpoint.where()) / "hf_quant_config.json";
  std::error_code failed;
  if (std::filesystem::exists(beside, failed)) return JsonObject::load(beside);
  return std::nullopt;
}

// True when prefix is the whole of name or ends where a segment of it ends.
bool whole_segments(std::string_view name, std::string_view prefix) {
  return prefix.empty() || name == prefix || (name.starts_with(prefix) && name[prefix.size()] == '.');
}

const NameMap* choose_map(const Checkpoint& checkpoint, std::span<const NameMap> maps, const std::string& component) {
  std::string known;
  for (const NameMap& map : maps) {
    if (map.marker.empty() || checkpoint.find(map.marker) != nullptr) return &map;
    known += (known.empty() ? "" : ", ") + std::string(map.dialect) + " (has " + std::string(map.marker) + ")";
  }
  if (maps.empty()) return nullptr;
  throw Error(checkpoint.where(), "its tensor names are of no dialect that " + component + " knows", "one of " + known);
}

}  // namespace

WeightSource::WeightSource(std::string component, std::unique_ptr<Checkpoint> checkpoint, const JsonObject& config,
                           std::span<const NameMap> maps)
    : component_(std::move(component)), checkpoint_(std::move(checkpoint)) {
  assert(checkpoint_ != nullptr);
  const std::optional<JsonObject> quantization = quantization_config(*checkpoint_, config);
  encoding_ = &find_encoding(*checkpoint_, quantization ? &*quantization : nullptr);
  map_ = choose_map(*checkpoint_, maps, component_);
}

WeightSource WeightSource::dummy(std::string component, uint64_t seed) {
  WeightSource source;
  source.component_ = std::move(component);
  source.seed_ = seed;
  return source;
}

std::string WeightSource::map_name(std::string_view name) const {
  const NameMap::Rule* best = nullptr;
  if (map_ != nullptr) {
    for (const NameMap::Rule& rule : map_->rules) {
      if (!whole_segments(name, rule.ours)) continue;
      if (best == nullptr || rule.ours.size() > best->ours.size()) best = &rule;
    }
  }
  if (best == nullptr) return std::string(name);
  std::string_view rest = name.substr(best->ours.size());
  if (rest.starts_with('.')) rest.remove_prefix(1);
  std::string out(best->theirs);
  if (!out.empty() && !rest.empty()) out += '.';
  return out + std::string(rest);
}

std::string WeightSource::where(std::string_view name) const {
  if (is_dummy()) return "dummy weights: " + component_ + "." + std::string(name);
  const std::string mapped = map_name(name);
  for (const std::string& full : {mapped, mapped + ".weight"}) {
    const Checkpoint::Entry* entry = checkpoint_->find(full);
    if (entry != nullptr) return entry->file.string() + ": " + full;
  }
  return checkpoint_->where() + ": " + mapped;
}

StoredWeight WeightSource::describe(std::string_view name, int64_t rows, int64_t cols) const {
  if (is_dummy()) return {{}, DType::kBF16, rows, cols, storage_bytes(DType::kBF16, rows * cols)};
  const std::string mapped = map_name(name);
  const std::optional<StoredWeight> stored = encoding_->describe(*checkpoint_, mapped);
  const std::string wanted = "a weight of shape " + Shape{rows, cols}.text();
  if (!stored) throw Error(checkpoint_->where() + ": " + mapped + ".weight", "is missing", wanted);
  if (stored->rows != rows || stored->cols != cols) {
    throw Error(where(name), "is of shape " + Shape{stored->rows, stored->cols}.text(), wanted);
  }
  read_.insert(mapped + ".weight");
  return *stored;
}

Weight WeightSource::weight(std::string_view name, int64_t rows, int64_t cols) {
  if (is_dummy()) return float_weight(dummy_matrix(seed_, component_ + "." + std::string(name), rows, cols));
  (void)describe(name, rows, cols);
  std::optional<Weight> weight = encoding_->read(*checkpoint_, map_name(name));
  assert(weight.has_value());
  return *std::move(weight);
}

DType WeightSource::describe_tensor(std::string_view name, Shape shape) {
  if (is_dummy()) return DType::kBF16;
  const std::string mapped = map_name(name);
  const Checkpoint::Entry* entry = checkpoint_->find(mapped);
  const std::string wanted = "a float tensor of shape " + shape.text();
  if (entry == nullptr) throw Error(checkpoint_->where() + ": " + mapped, "is missing", wanted);
  if (!(entry->shape == shape)) throw Error(where(name), "is of shape " + entry->shape.text(), wanted);
  if (entry->dtype != DType::kF32 && entry->dtype != DType::kF16 && entry->dtype != DType::kBF16) {
    throw Error(where(name), "is of dtype " + std::string(dtype_name(entry->dtype)), "f32, f16 or bf16");
  }
  read_.insert(mapped);
  return entry->dtype;
}

Tensor WeightSource::stored_tensor(std::string_view name, Shape shape) {
  const DType dtype = describe_tensor(name, shape);
  return cast(tensor(name, shape), dtype);
}

Tensor WeightSource::tensor(std::string_view name, Shape shape) {
  if (is_dummy()) return dummy_tensor(seed_, component_ + "." + std::string(name), shape);
  describe_tensor(name, shape);
  return to_f32(checkpoint_->tensor(map_name(name)));
}

bool WeightSource::has(std::string_view name) const {
  return !is_dummy() && checkpoint_->find(map_name(name)) != nullptr;
}

std::vector<std::string> WeightSource::unread() const {
  std::vector<std::string> out;
  if (is_dummy()) return out;
  for (std::string& name : checkpoint_->names()) {
    if (!read_.contains(name)) out.push_back(std::move(name));
  }
  return out;
}

}  // namespace omni
