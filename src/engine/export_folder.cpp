#include "engine/export_folder.h"

#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "checkpoint/gguf_types.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;
constexpr size_t kMaxConfig = size_t{64} << 20;

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.raw(), static_cast<size_t>(tensor.bytes())};
}

std::vector<QuantScheme> schemes_of(const ExportedComponent& component) {
  std::vector<QuantScheme> out;
  for (const ExportedWeight& weight : component.linears) {
    if (weight.scheme.quantized() && std::ranges::find(out, weight.scheme) == out.end()) out.push_back(weight.scheme);
  }
  return out;
}

// The folder of a component's config, relative to the model.
fs::path folder_of(const ExportedComponent& component, const fs::path& model) {
  std::error_code failed;
  const fs::path weights =
      fs::is_directory(component.weights, failed) ? component.weights : component.weights.parent_path();
  const fs::path inside = fs::weakly_canonical(weights).lexically_relative(fs::canonical(model));
  if (!inside.empty() && *inside.begin() != "..") return inside;
  return fs::is_directory(model / component.name, failed) ? fs::path(component.name) : fs::path(".");
}

// The usual name of the file that a folder's weights lie in, without shard numbers.
std::string stem_of(const fs::path& folder, const ExportedComponent& component) {
  for (const fs::path& file : component.files) {
    const std::string name = file.filename().string();
    for (const char* stem : {"diffusion_pytorch_model", "model"}) {
      if (name.starts_with(stem)) return stem;
    }
  }
  return folder == "." ? "model" : "diffusion_pytorch_model";
}

void link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code failed;
  fs::create_directories(to.parent_path(), failed);
  fs::create_hard_link(fs::canonical(from), to, failed);
  if (!failed) return;
  if (!fs::copy_file(from, to, failed) || failed) {
    throw Error(to.string(), "cannot be written: " + failed.message(), "a copy of " + from.string());
  }
}

// A weight's name in what is written; names: null for the checkpoint's own.
std::string file_name(const NameMap* names, const ExportedWeight& weight) {
  return names == nullptr ? weight.theirs : place_name(*names, weight.name).name;
}

// Whether its values come through the walk; others are copied with all that is left.
bool is_written(const NameMap* names, const ExportedWeight& weight) {
  return weight.changed || weight.scheme.quantized() || names != nullptr;
}

void note_kv_scales(const ExportedComponent& facts, std::vector<std::string>& notes) {
  const bool any = std::ranges::any_of(facts.entries, [](const auto& e) { return e.first.ends_with("k_scale"); });
  if (any) notes.push_back("scales of a quantized KV cache are copied, but the new config does not declare them");
}

}  // namespace

FolderExport::FolderExport(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress, fs::path model,
                           fs::path out)
    : ExportSink(options, progress), model_(std::move(model)), out_(std::move(out)) {}

std::vector<std::string> FolderExport::components() const {
  std::vector<std::string> out;
  for (const Rewrite& rewrite : rewrites_) out.push_back(rewrite.facts->name);
  return out;
}

const FolderExport::Rewrite* FolderExport::find(std::string_view component) const {
  const auto it = std::ranges::find(rewrites_, component, [](const Rewrite& r) { return r.facts->name; });
  return it == rewrites_.end() ? nullptr : &*it;
}

std::string FolderExport::refusal_of(const Spelling& spelling) const {
  for (const Rewrite& rewrite : rewrites_) {
    if (std::string refusal = spelling.refusal(schemes_of(*rewrite.facts)); !refusal.empty()) return refusal;
  }
  return "";
}

void FolderExport::choose_spelling() {
  std::string reasons, instead;
  for (const Spelling* spelling : spellings()) {
    const std::string refusal = refusal_of(*spelling);
    const bool asked = options_.format.empty() || spelling->name() == options_.format;
    if (refusal.empty() && asked) {
      spelling_ = spelling;
      return;
    }
    if (refusal.empty()) instead += (instead.empty() ? "" : " or ") + std::string(spelling->name());
    if (asked) reasons += (reasons.empty() ? "" : "; ") + refusal;
  }
  const bool gguf = rewrites_.size() == 1 && std::ranges::all_of(schemes_of(*rewrites_[0].facts), [](const auto& s) {
                      return ggml_type_of(s).has_value();
                    });
  if (gguf && options_.format.empty()) throw WantsGguf();
  if (gguf) instead += (instead.empty() ? "" : " or ") + std::string("gguf");
  throw usage_error("--format", reasons, instead.empty() ? "another scheme: no format here holds this one" : instead);
}

void FolderExport::planned() {
  for (const ExportedComponent& component : facts_.components()) {
    const bool respelled = !options_.format.empty() && component.any_quantized();
    if (!component.any_changed() && !respelled) continue;
    Rewrite rewrite;
    rewrite.facts = &component;
    rewrites_.push_back(std::move(rewrite));
  }
  if (rewrites_.empty()) {
    throw usage_error("quantize", "no weight would change", "--quantization with a scheme for some of them");
  }
  choose_spelling();
  for (Rewrite& rewrite : rewrites_) prepare(rewrite);
}

// Names that take every weight whole and in order: the checkpoint's, or those of the first dialect that has such.
void FolderExport::choose_names(Rewrite& rewrite) {
  const ExportedComponent& facts = *rewrite.facts;
  if (!facts.has_blocks && std::ranges::all_of(facts.linears, &ExportedWeight::whole)) return;
  for (const NameMap& map : facts.dialects) {
    if (map.dialect.starts_with("gguf")) continue;
    const auto is_whole = [&](const ExportedWeight& w) { return place_name(map, w.name).is_whole(); };
    if (!std::ranges::all_of(facts.linears, is_whole)) continue;
    rewrite.names = &map;
    return;
  }
  throw Error(facts.weights.string(), "keeps several weights of " + facts.name + " in one tensor",
              "a checkpoint in the names of diffusers or transformers");
}

void FolderExport::announce(const Rewrite& rewrite, std::vector<TensorHeader>& headers,
                            std::vector<SpelledWeight>& quantized, std::vector<std::string>& floats,
                            std::set<std::string>& replaced) {
  std::map<std::string, const ExportedWeight*> by_name;
  for (const ExportedWeight& weight : rewrite.facts->linears) {
    const std::string name = file_name(rewrite.names, weight);
    const auto [other, is_new] = by_name.try_emplace(name, &weight);
    if (!is_new) {
      if (other->second->scheme == weight.scheme) continue;
      throw usage_error(rewrite.facts->name + "." + weight.name,
                        "shares its tensor with " + other->second->name + ", and their schemes differ",
                        "one scheme for both, or none");
    }
    if (weight.scheme.quantized()) {
      quantized.push_back({name, weight.scheme, weight.rows, weight.cols});
      for (TensorHeader& header : spelling_->headers(quantized.back())) headers.push_back(std::move(header));
    } else {
      floats.push_back(name);
      if (is_written(rewrite.names, weight))
        headers.push_back({name + ".weight", weight.floats, Shape{weight.rows, weight.cols}});
    }
    if (!is_written(rewrite.names, weight)) continue;
    ++all_;
    replaced.insert(weight.tensors.begin(), weight.tensors.end());
  }
}

void FolderExport::prepare(Rewrite& rewrite) {
  const ExportedComponent& facts = *rewrite.facts;
  rewrite.folder = folder_of(facts, model_);
  choose_names(rewrite);
  std::vector<TensorHeader> headers;
  std::vector<SpelledWeight> quantized;
  std::vector<std::string> floats;
  std::set<std::string> replaced;
  announce(rewrite, headers, quantized, floats, replaced);
  if (rewrite.names != nullptr) {
    for (const ExportedTensor& tensor : facts.tensors)
      headers.push_back({place_name(*rewrite.names, tensor.name).name, tensor.dtype, tensor.shape});
  } else {
    for (const auto& [name, header] : facts.entries) {
      if (replaced.contains(name)) continue;
      rewrite.kept.push_back(name);
      headers.push_back(header);
    }
  }
  bytes_before_ += facts.bytes();
  note_kv_scales(facts, notes);
  const fs::path folder = (out_ / rewrite.folder).lexically_normal();
  fs::create_directories(folder);
  rewrite.writer = std::make_unique<SafetensorsWriter>(
      folder / (stem_of(rewrite.folder, facts) + ".safetensors"), std::move(headers),
      SafetensorsWriter::Options{.metadata = {{"format", "pt"}}, .shard_bytes = options_.shard_bytes});
  bytes_after_ += rewrite.writer->bytes();
  write_config(rewrite, quantized, floats);
}

void FolderExport::write_config(const Rewrite& rewrite, std::span<const SpelledWeight> quantized,
                                std::span<const std::string> floats) const {
  const fs::path from = model_ / rewrite.folder / "config.json";
  const std::string text = read_file(from, kMaxConfig);
  (void)parse_json(text, from.string());
  json config = json::parse(text);
  config.erase("quantization_config");
  if (config.contains("text_config") && config["text_config"].is_object()) {
    config["text_config"].erase("quantization_config");
  }
  std::vector<std::string> kept(floats.begin(), floats.end());
  // The head of a text model is a Linear to its readers, also where it shares the embedding's tensor.
  const auto is_head = [](const SpelledWeight& w) { return w.name == "lm_head"; };
  if (config.contains("vocab_size") && std::ranges::none_of(quantized, is_head) &&
      std::ranges::find(kept, "lm_head") == kept.end()) {
    kept.emplace_back("lm_head");
  }
  if (!quantized.empty()) config["quantization_config"] = spelling_->config(quantized, kept);
  write_file_whole((out_ / rewrite.folder / "config.json").lexically_normal(), config.dump(2) + "\n");
}

bool FolderExport::wants(const WeightSource& source, std::string_view name) const {
  const Rewrite* rewrite = find(source.component());
  const ExportedWeight* weight = rewrite == nullptr ? nullptr : rewrite->facts->find(name);
  return weight != nullptr && is_written(rewrite->names, *weight);
}

void FolderExport::take(WeightSource& source, std::string_view name, const Weight& weight) {
  if (!wants(source, name)) return;
  const Rewrite& rewrite = *find(source.component());
  const std::string path = source.component() + "." + std::string(name);
  const std::string file = file_name(rewrite.names, *rewrite.facts->find(name));
  int64_t bytes = 0;
  const auto put = [&](const std::string& tensor, const Tensor& values) {
    rewrite.writer->write(tensor, bytes_of(values));
    bytes += values.bytes();
  };
  const SpelledWeight spelled{file, weight.scheme, weight.rows, weight.cols};
  const std::string first = weight.scheme.quantized() ? spelling_->headers(spelled)[0].name : file + ".weight";
  if (rewrite.writer->has(first)) return;  // a table used twice
  if (weight.scheme.quantized()) {
    for (const NamedTensor& part : spelling_->spell(file, weight, path)) put(part.name, part.tensor);
  } else {
    put(file + ".weight", weight.codes);
  }
  wrote(path, bytes);
}

void FolderExport::take_tensor(WeightSource& source, std::string_view name, const Shape& shape) {
  const Rewrite* rewrite = find(source.component());
  if (rewrite == nullptr || rewrite->names == nullptr) return;
  const std::string file = place_name(*rewrite->names, name).name;
  if (!rewrite->writer->has(file)) rewrite->writer->write(file, bytes_of(source.stored_tensor(name, shape)));
}

void FolderExport::copy_others() const {
  std::set<fs::path> skipped;
  for (const Rewrite& rewrite : rewrites_) {
    const fs::path folder = (model_ / rewrite.folder).lexically_normal();
    for (const fs::path& file : rewrite.facts->files) skipped.insert(fs::weakly_canonical(file));
    skipped.insert(fs::weakly_canonical(folder / "config.json"));
    skipped.insert(fs::weakly_canonical(folder / "hf_quant_config.json"));
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().filename().string().ends_with(".index.json")) skipped.insert(fs::weakly_canonical(entry.path()));
    }
  }
  for (const auto& entry : fs::recursive_directory_iterator(model_)) {
    if (!entry.is_regular_file() || skipped.contains(fs::weakly_canonical(entry.path()))) continue;
    link_or_copy(entry.path(), out_ / entry.path().lexically_relative(model_));
  }
}

void FolderExport::finish() {
  for (Rewrite& rewrite : rewrites_) {
    const std::unique_ptr<Checkpoint> checkpoint = open_checkpoint(rewrite.facts->weights);
    for (const std::string& name : rewrite.kept) {
      rewrite.writer->write(name, bytes_of(checkpoint->tensor(name)));
      checkpoint->release(name);
    }
    rewrite.writer->keep();
  }
  copy_others();
}

}  // namespace omni
