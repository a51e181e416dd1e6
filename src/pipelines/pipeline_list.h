#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "nn/scope.h"
#include "pipelines/pipeline.h"
#include "quant/plan.h"

namespace omni {

// What lies at a model's path, read as far as is needed to tell its kind.
struct ModelFiles {
  std::filesystem::path path;        // a folder, or a .gguf file
  std::optional<JsonObject> index;   // model_index.json
  std::optional<JsonObject> config;  // config.json
  std::string gguf_architecture;     // of a .gguf file; path is that file for a folder that holds nothing else
  static ModelFiles read(const std::filesystem::path& path);  // throws Error

  std::string architecture() const;  // what config.json names; "" when it names none
};

// One kind of work a model can do, and how to recognise its files.
struct PipelineEntry {
  std::string_view name;
  Output makes;
  bool (*recognises)(const ModelFiles& files);
  PipelineScope (*scope)();
  // kPlan: layers get no weights and only the ledger is of use.
  std::unique_ptr<Pipeline> (*make)(const ModelOptions& options, const ModelFiles& files, LoadContext& context);
  // Names by which files say that they are of this kind, sorted; those of GGUF files begin with "gguf: ".
  std::vector<std::string> (*architectures)();
};

std::span<const PipelineEntry> pipelines();  // sorted by name

// The kind of these files. Throws Error naming what was found and what would be known.
const PipelineEntry& find_pipeline(const ModelFiles& files);

}  // namespace omni
