#include "checkpoint/open_stored.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "checkpoint/encoding_plain.h"

namespace omni {
namespace {

using Prefixes = std::vector<std::string>;
constexpr std::string_view kConfig = "_config";

bool below(std::string_view name, const Prefixes& prefixes) {
  return std::ranges::any_of(prefixes, [&](const std::string& prefix) {
    return name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '.');
  });
}

// The tensors of one part, under their full names.
class PartOfCheckpoint final : public Checkpoint {
 public:
  PartOfCheckpoint(const Checkpoint& whole, std::vector<std::string> names) : whole_(whole), names_(std::move(names)) {}
  const Entry* find(std::string_view name) const override { return mine(name) ? whole_.find(name) : nullptr; }
  Tensor tensor(std::string_view name) const override { return whole_.tensor(name); }
  std::vector<std::string> names() const override { return names_; }
  std::string metadata(std::string_view key) const override { return whole_.metadata(key); }
  std::string where() const override { return whole_.where(); }

 private:
  bool mine(std::string_view name) const { return std::ranges::binary_search(names_, name, std::ranges::less()); }
  const Checkpoint& whole_;
  std::vector<std::string> names_;
};

// Several parts as one: a name belongs to the part whose prefix it has, else to the last.
class WeightsOfParts final : public StoredWeights {
 public:
  WeightsOfParts(const Checkpoint& checkpoint, std::vector<StoredPart> parts) {
    std::vector<std::vector<std::string>> names(parts.size());
    for (std::string& name : checkpoint.names()) {
      size_t at = 0;
      while (at + 1 < parts.size() && !below(name, parts[at].prefixes)) ++at;
      names[at].push_back(std::move(name));
    }
    for (size_t i = 0; i < parts.size(); ++i) {
      Part part{parts[i].prefixes, std::make_unique<PartOfCheckpoint>(checkpoint, std::move(names[i])), nullptr};
      const JsonObject* quantization = parts[i].quantization ? &*parts[i].quantization : nullptr;
      part.weights = parts[i].encoding->open(*part.checkpoint, quantization);
      parts_.push_back(std::move(part));
    }
  }

  std::string_view method() const override { return parts_[0].weights->method(); }
  std::optional<StoredWeight> describe(std::string_view name) const override { return of(name).describe(name); }
  Weight read(std::string_view name) const override { return of(name).read(name); }
  Weight read_rows(std::string_view name, int64_t begin, int64_t count) const override {
    return of(name).read_rows(name, begin, count);
  }
  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const Part& part : parts_) {
      for (std::string& name : part.weights->weights()) out.push_back(std::move(name));
    }
    std::ranges::sort(out);
    return out;
  }
  std::optional<KvScales> kv_scales(std::string_view attention) const override {
    return of(attention).kv_scales(attention);
  }

 private:
  struct Part {
    Prefixes prefixes;
    std::unique_ptr<Checkpoint> checkpoint;
    std::unique_ptr<StoredWeights> weights;
  };
  const StoredWeights& of(std::string_view name) const {
    for (const Part& part : parts_) {
      if (below(name, part.prefixes)) return *part.weights;
    }
    return *parts_.back().weights;
  }
  std::vector<Part> parts_;
};

// Where the tensors of the config block `key` (text_config) may lie inside a parent's, best first.
Prefixes places_of(const std::string& key) {
  const std::string name = key.substr(0, key.size() - kConfig.size());
  if (name == "text") return {"model.language_model", "language_model", "model"};
  if (name == "vision") return {"visual", "model.visual", "vision_tower", "vision_model"};
  if (name == "audio") return {"audio_tower", "model.audio_tower", "audio_model"};
  return {name, "model." + name};
}

// The prefixes that the block's tensors have; empty: there are none.
Prefixes prefixes_of(const Checkpoint& checkpoint, const std::string& key, const std::string& parent) {
  const std::vector<std::string> names = checkpoint.names();
  const auto exists = [&](const std::string& prefix) {
    return std::ranges::any_of(names, [&](const std::string& name) { return below(name, {prefix}); });
  };
  for (const std::string& place : places_of(key)) {
    if (!exists(parent + place)) continue;
    Prefixes out = {parent + place};
    if (key == "text_config" && exists(parent + "lm_head")) out.push_back(parent + "lm_head");
    return out;
  }
  return {};
}

// Blocks inside config that carry a quantization_config of their own, with the prefixes of their tensors.
void find_nested(const Checkpoint& checkpoint, const JsonObject& config, const std::string& parent,
                 std::vector<StoredPart>& parts) {
  for (const std::string& key : config.keys()) {
    if (!key.ends_with(kConfig) || key == "quantization_config" || !config.value().at(key).is_object()) continue;
    const JsonObject block = config.object(key);
    const Prefixes prefixes = prefixes_of(checkpoint, key, parent);
    if (prefixes.empty()) continue;
    if (block.has("quantization_config")) {
      parts.push_back({prefixes, nullptr, block.object("quantization_config")});
      parts.back().encoding = &find_encoding(checkpoint, &*parts.back().quantization);
    } else {
      find_nested(checkpoint, block, prefixes[0] + ".", parts);
    }
  }
}

}  // namespace

std::optional<int64_t> check_small_values(const StoredWeights& stored) {
  int64_t bytes = 0;
  for (const std::string& name : stored.weights()) {
    const std::optional<StoredWeight> weight = stored.describe(name);
    if (weight) bytes += weight->bytes;
    if (bytes > kSmallCheckpoint) return std::nullopt;
  }
  return check_values(stored);
}

StoredCheckpoint open_stored(const Checkpoint& checkpoint, const JsonObject& config) {
  StoredCheckpoint out;
  if (!config.has("quantization_config") && !config.has("compression_config"))
    find_nested(checkpoint, config, "", out.parts);
  if (!out.parts.empty()) {
    out.parts.push_back({{}, &plain_encoding(), std::nullopt});
    out.weights = std::make_unique<WeightsOfParts>(checkpoint, out.parts);
    return out;
  }
  StoredPart whole{{}, nullptr, find_quantization_config(checkpoint, config)};
  const JsonObject* quantization = whole.quantization ? &*whole.quantization : nullptr;
  whole.encoding = &find_encoding(checkpoint, quantization);
  out.weights = whole.encoding->open(checkpoint, quantization);
  out.parts.push_back(std::move(whole));
  return out;
}

}  // namespace omni
