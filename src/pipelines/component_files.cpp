#include "pipelines/component_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/gguf_reference.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

bool is_size(const nlohmann::json& value) {
  if (!value.is_array()) return value.is_number_integer();
  return std::ranges::all_of(value, [](const nlohmann::json& item) { return item.is_number_integer(); });
}

// Every size (whole number or list of such) that both configs give must be the same.
void require_same_sizes(const JsonObject& own, const JsonObject& model) {
  for (const auto& [key, value] : own.value().items()) {
    const bool about_tokens = key.ends_with("_token_id");  // tools disagree on those for one and the same network
    if (key.starts_with('_') || about_tokens || !is_size(value) || !model.has(key)) continue;
    const nlohmann::json& want = model.value().at(key);
    if (!is_size(want) || value == want) continue;
    throw Error(own.where() + ": " + key, "is " + value.dump(), want.dump() + ", as in " + model.where());
  }
}

void add(ComponentFiles& files, const std::string& name, fs::path path, const std::string& flag) {
  if (!files.emplace(name, std::move(path)).second)
    throw usage_error(flag, "gives the component '" + name + "' a second time", "one file or folder a component");
}

// A GGUF file by itself says how it is stored; any other file is described by the config.json of its folder.
fs::path config_beside(const fs::path& weights) {
  std::error_code failed;
  if (weights.extension() == ".gguf") return {};
  const fs::path folder = fs::is_directory(weights, failed) ? weights : weights.parent_path();
  const fs::path config = folder / "config.json";
  return fs::exists(config, failed) ? config : fs::path();
}

}  // namespace

ComponentFiles component_files(const ModelOptions& options, const std::vector<std::string>& components,
                               const std::string& main) {
  ComponentFiles files;
  std::string known;
  for (const std::string& name : components) known += (known.empty() ? "" : ", ") + name;
  for (const auto& [name, path] : options.component_files) {
    if (std::ranges::find(components, name) == components.end())
      throw usage_error("--component", "'" + name + "' is no component of this model", "one of " + known);
    add(files, name, path, "--component");
  }
  if (!options.gguf_model.empty()) add(files, main, find_gguf(options.gguf_model), "--gguf-model");
  if (!files.empty() && options.load_format == LoadFormat::kDummy)
    throw usage_error("--load-format", "is dummy, which reads no weights, beside a file for " + files.begin()->first,
                      "one of the two");
  return files;
}

ComponentPlace find_component(const ComponentFiles& files, const fs::path& model, const std::string& component) {
  return find_component(files, model / component, JsonObject::load(model / component / "config.json"), component);
}

ComponentPlace find_component(const ComponentFiles& files, const fs::path& folder, const JsonObject& config,
                              const std::string& component) {
  const auto it = files.find(component);
  if (it == files.end()) return {folder, config};
  const fs::path own = config_beside(it->second);
  if (own.empty()) return {it->second, JsonObject::parse("{}", it->second.string())};
  ComponentPlace place{it->second, JsonObject::load(own), true};
  require_same_sizes(place.config, config);
  return place;
}

}  // namespace omni
