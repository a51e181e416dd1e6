#include "inspect_parts.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "checkpoint/gguf_reference.h"
#include "checkpoint/gguf_types.h"
#include "pipelines/model_location.h"

namespace omni::cli {
namespace {

namespace fs = std::filesystem;

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf";
}

bool holds_weights(const fs::path& folder) {
  std::error_code failed;
  return std::ranges::any_of(fs::directory_iterator(folder, failed), [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    return name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") || is_gguf(name);
  });
}

// A config.json speaks for a file only when that is what its folder opens, or when the folder does not say.
bool is_weights_of_its_folder(const fs::path& file, const Checkpoint& opened) {
  const std::vector<std::string> names = opened.names();
  if (names.empty() || file.extension() == ".json") return true;
  try {
    const std::unique_ptr<Checkpoint> folder = open_checkpoint(file.parent_path());
    const Checkpoint::Entry* entry = folder->find(names[0]);
    return entry != nullptr && entry->file.filename() == file.filename();
  } catch (const Error&) {
    return true;
  }
}

JsonObject config_of(const fs::path& path, const Checkpoint& checkpoint) {
  const JsonObject none = JsonObject::parse("{}", path.string());
  std::error_code failed;
  const bool folder = fs::is_directory(path, failed);
  fs::path config = (folder ? path : path.parent_path()) / "config.json";
  if (is_gguf(path) || !fs::exists(config, failed)) return none;
  if (!folder && !is_weights_of_its_folder(path, checkpoint)) return none;
  return JsonObject::load(config);
}

InspectPart open_part(const std::string& component, const fs::path& path) {
  std::unique_ptr<Checkpoint> checkpoint = open_checkpoint(path);
  JsonObject config = config_of(path, *checkpoint);
  StoredCheckpoint stored = open_stored(*checkpoint, config);
  check_headers(*checkpoint, *stored.weights);
  return {component, std::move(checkpoint), std::move(config), std::move(stored)};
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

InspectRow weight_row(const std::string& name, const StoredWeight& weight) {
  const bool quantized = weight.scheme.quantized();
  return {.name = name,
          .stored = quantized ? weight.scheme.text() : std::string(dtype_name(weight.float_dtype)),
          .shape = Shape{weight.rows, weight.cols},
          .bytes = weight.bytes,
          .is_weight = true,
          .quantized = quantized,
          .tensors = weight.tensors};
}

InspectRow tensor_row(const Checkpoint& checkpoint, const std::string& name) {
  const Checkpoint::Entry& entry = *checkpoint.find(name);
  InspectRow row{.name = name, .shape = entry.shape, .is_float = is_float(entry.dtype), .tensors = {name}};
  if (entry.dtype == DType::kNone) {
    row.stored = ggml_type_text(entry.block_type);
    row.bytes = checkpoint.tensor(name).bytes();
  } else {
    row.stored = dtype_name(entry.dtype);
    row.bytes = storage_bytes(entry.dtype, entry.shape.count());
  }
  return row;
}

}  // namespace

std::vector<InspectPart> open_parts(const std::string& name) {
  std::error_code failed;
  fs::path path = name;
  if (!fs::exists(path, failed)) {
    const bool reference = is_gguf(path) || name.find(':') != std::string::npos;
    path = reference ? find_gguf(name) : find_model(name);
  }
  std::vector<InspectPart> parts;
  if (!fs::is_directory(path, failed) || !fs::exists(path / "model_index.json", failed)) {
    parts.push_back(open_part("", path));
    return parts;
  }
  std::set<std::string> components;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, failed)) {
    if (entry.is_directory(failed) && holds_weights(entry.path())) components.insert(entry.path().filename().string());
  }
  for (const std::string& component : components) parts.push_back(open_part(component, path / component));
  if (parts.empty()) throw Error(path.string(), "none of its components holds weights", "at least one");
  return parts;
}

std::vector<InspectRow> inspect_rows(const InspectPart& part) {
  std::vector<InspectRow> rows;
  std::set<std::string, std::less<>> claimed;
  for (const std::string& name : part.stored.weights->weights()) {
    const std::optional<StoredWeight> weight = part.stored.weights->describe(name);
    if (!weight) continue;
    claimed.insert(weight->tensors.begin(), weight->tensors.end());
    rows.push_back(weight_row(name, *weight));
    const Checkpoint::Entry* entry = part.checkpoint->find(weight->tensors.empty() ? name : weight->tensors[0]);
    const bool stack =
        entry != nullptr && entry->shape.rank() > 2 && entry->shape.count() == weight->rows * weight->cols;
    if (stack) rows.back().shape = entry->shape;
    if (entry != nullptr && entry->dtype == DType::kNone) rows.back().ggml_type = ggml_type_text(entry->block_type);
  }
  for (const std::string& name : part.checkpoint->names()) {
    if (!claimed.contains(name)) rows.push_back(tensor_row(*part.checkpoint, name));
  }
  return rows;
}

std::vector<InspectKvScales> inspect_kv_scales(const InspectPart& part) {
  std::set<std::string> attentions;
  for (const std::string& name : part.checkpoint->names()) {
    std::string at = name;
    for (int up = 0; up < 2; ++up) {  // A.k_scale, or A.k_proj.k_scale
      const size_t dot = at.rfind('.');
      if (dot == std::string::npos) break;
      at.resize(dot);
      attentions.insert(at);
    }
  }
  std::vector<InspectKvScales> out;
  for (const std::string& at : attentions) {
    if (const std::optional<KvScales> scales = part.stored.weights->kv_scales(at)) out.push_back({at, *scales});
  }
  return out;
}

}  // namespace omni::cli
