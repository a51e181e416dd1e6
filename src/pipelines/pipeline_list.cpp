#include "pipelines/pipeline_list.h"

#include <algorithm>
#include <array>
#include <system_error>

#include "base/error.h"
#include "checkpoint/gguf_reference.h"
#include "pipelines/component_files.h"
#include "pipelines/text_generation.h"
#include "pipelines/text_to_image.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFluxClass = "FluxPipeline";

std::string list(const std::vector<std::string_view>& names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "one of " : ", ") + std::string(name);
  return text;
}

bool is_text_generation(const ModelFiles& files) {
  const auto knows = [](const std::vector<std::string_view>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
  };
  if (files.index) return false;
  if (files.config) return knows(llm_architectures(), files.architecture());
  return knows(llm_gguf_architectures(), files.gguf_architecture);
}

std::unique_ptr<Pipeline> make_text_generation(const ModelOptions& options, const ModelFiles& files,
                                               LoadContext& context) {
  const ComponentFiles elsewhere = component_files(options, TextGeneration::scope().components, "model");
  return std::make_unique<TextGeneration>(TextModelConfig::load(files, elsewhere), context, options.load_format);
}

std::vector<std::string> text_architectures() {
  std::vector<std::string> names;
  for (const std::string_view name : llm_architectures()) names.emplace_back(name);
  for (const std::string_view name : llm_gguf_architectures()) names.push_back("gguf: " + std::string(name));
  return names;
}

std::vector<std::string> picture_architectures() {
  return {std::string(kFluxClass)};
}

bool is_text_to_image(const ModelFiles& files) {
  return files.index && files.index->string("_class_name") == kFluxClass;
}

std::unique_ptr<Pipeline> make_text_to_image(const ModelOptions& options, const ModelFiles& files,
                                             LoadContext& context) {
  const PipelineScope scope = TextToImage::scope();
  FluxPipelineConfig config = FluxPipelineConfig::load(files.path);
  config.files = component_files(options, scope.components, scope.by_default[0]);
  return std::make_unique<TextToImage>(config, context, options.load_format);
}

}  // namespace

ModelFiles ModelFiles::read(const fs::path& path) {
  ModelFiles files{.path = path, .index = {}, .config = {}, .gguf_architecture = {}};
  std::error_code failed;
  if (fs::is_directory(path, failed)) {
    if (fs::exists(path / "model_index.json", failed)) {
      files.index = JsonObject::load(path / "model_index.json");
      return files;
    }
    if (fs::exists(path / "config.json", failed)) {
      files.config = JsonObject::load(path / "config.json");
      return files;
    }
    const std::vector<fs::path> models = gguf_models(path);
    if (models.size() != 1) {
      throw Error(path.string(), models.empty() ? "holds no model" : "holds several GGUF models",
                  models.empty() ? "a folder with model_index.json, config.json or a .gguf file" : "the path of one");
    }
    files.path = models[0];
  }
  files.gguf_architecture = open_checkpoint(files.path)->metadata("general.architecture");
  return files;
}

std::string ModelFiles::architecture() const {
  return config ? llm_architecture(*config) : std::string();
}

std::span<const PipelineEntry> pipelines() {
  static constexpr std::array kKinds = {
      PipelineEntry{"text generation", Output::kText, is_text_generation, TextGeneration::scope, make_text_generation,
                    text_architectures},
      PipelineEntry{"text to image", Output::kImage, is_text_to_image, TextToImage::scope, make_text_to_image,
                    picture_architectures},
  };
  return kKinds;
}

const PipelineEntry& find_pipeline(const ModelFiles& files) {
  for (const PipelineEntry& kind : pipelines()) {
    if (kind.recognises(files)) return kind;
  }
  if (files.index) {
    throw Error(files.index->where() + ": _class_name", "is '" + files.index->string("_class_name") + "'",
                std::string(kFluxClass));
  }
  if (files.config) {
    const std::string name = files.architecture();
    throw Error(files.config->where() + ": architectures", name.empty() ? "is missing" : "is '" + name + "'",
                list(llm_architectures()));
  }
  throw Error(files.path.string() + ": general.architecture", "is '" + files.gguf_architecture + "'",
              list(llm_gguf_architectures()) + ", for which there are name maps");
}

}  // namespace omni
