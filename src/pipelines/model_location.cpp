#include "pipelines/model_location.h"

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "checkpoint/gguf_reference.h"

namespace omni {

namespace fs = std::filesystem;

std::filesystem::path find_model(const std::string& model) {
  std::error_code ignored;
  if (model.empty()) throw usage_error("MODEL", "is empty", "a folder or the name of a bundled model");
  if (fs::is_directory(model, ignored)) return model;
  if (model.ends_with(".gguf") || model.find(':') != std::string::npos) return find_gguf(model);
  if (model.find('/') == std::string::npos) {
    std::vector<fs::path> roots;
    if (const char* root = std::getenv("OMNI_MODELS"); root != nullptr && *root != '\0') roots.emplace_back(root);
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    if (!program.empty()) {
      fs::path up = program;
      for (int level = 0; level < 4; ++level, up = up.parent_path()) roots.push_back(up / "models");
      roots.push_back(program.parent_path() / "share/omni/models");
    }
    roots.emplace_back("models");
    for (const fs::path& root : roots) {
      if (fs::is_directory(root / model, ignored)) return root / model;
    }
  }
  throw Error(
      model,
      fs::exists(model, ignored) ? "is neither a folder nor a .gguf file" : "there is no such folder or bundled model",
      "a diffusers or transformers folder, a .gguf file, or mini-flux");
}

}  // namespace omni
