#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "omni/engine.h"

namespace omni {

// Weights from elsewhere than the model's own folder: component -> file or folder, of any container and encoding.
using ComponentFiles = std::map<std::string, std::filesystem::path, std::less<>>;

// What options say. main: the component that gguf_model means. Throws a usage Error for a component the model does not
// have and for one that is given twice.
ComponentFiles component_files(const ModelOptions& options, const std::vector<std::string>& components,
                               const std::string& main);

// Where the weights of one component lie and the config that describes how they are stored: the component's own folder,
// or what files names instead. Metadata of the replaced weights does not apply to their replacement. A config.json that
// the replacement brings must agree with the model's in every size; throws Error naming the key.
struct ComponentPlace {
  std::filesystem::path weights;
  JsonObject config;
  bool own_config = false;  // the replacement brought a config
};
ComponentPlace find_component(const ComponentFiles& files, const std::filesystem::path& model,
                              const std::string& component);
// The same for a model of one component, whose folder is the model's own.
ComponentPlace find_component(const ComponentFiles& files, const std::filesystem::path& folder,
                              const JsonObject& config, const std::string& component);

}  // namespace omni
