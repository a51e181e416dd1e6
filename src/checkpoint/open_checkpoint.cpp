#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_reference.h"

namespace omni {

void Checkpoint::release(std::string_view) const {}

namespace {

namespace fs = std::filesystem;

// A folder that holds GGUF models.
std::unique_ptr<Checkpoint> open_gguf_folder(const fs::path& folder) {
  const std::vector<fs::path> models = gguf_models(folder);
  if (models.size() == 1) return open_gguf(models[0]);
  std::string names;
  for (const fs::path& model : models) names += (names.empty() ? "" : ", ") + model.filename().string();
  throw Error(folder.string(), "several GGUF models: " + names, "the path of one of them");
}

// A model in safetensors, by the names that libraries write; a lone file of another name may be anything.
bool has_safetensors_model(const fs::path& folder) {
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors.index.json") || name == "model.safetensors" ||
        name == "diffusion_pytorch_model.safetensors")
      return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Checkpoint> open_checkpoint(const fs::path& path) {
  std::error_code failed;
  if (!fs::is_directory(path, failed)) {
    if (path.extension() == ".gguf") return open_gguf(path);
    return open_safetensors(path);
  }
  if (has_safetensors_model(path) || gguf_models(path).empty()) return open_safetensors(path);
  return open_gguf_folder(path);
}

}  // namespace omni
