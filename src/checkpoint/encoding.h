#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "quant/weight.h"

namespace omni {

// What a checkpoint holds at one name, without reading its values.
struct StoredWeight {
  QuantScheme scheme;  // not quantized: float_dtype says how
  DType float_dtype = DType::kNone;
  int64_t rows = 0, cols = 0;
  int64_t bytes = 0;                 // of all its tensors
  std::vector<std::string> tensors;  // every tensor that spells it, by its full name
};

// Scales of a quantized KV cache, per tensor: f32.
struct KvScales {
  float k = 1, v = 1;
};

// One checkpoint as one tool spelled it. Immutable; any thread may read. Names are the checkpoint's own, without
// ".weight" ("model.layers.0.mlp.down_proj").
class StoredWeights {
 public:
  virtual ~StoredWeights() = default;
  // The method that stored it, as quant/method.h folds its name ("awq", "modelopt"); "" for plain floats.
  virtual std::string_view method() const = 0;
  // Headers only. nullopt when there is no such weight. Throws Error naming file, tensor, expected and found when the
  // tensors contradict each other or the config: a quantized layer without its scales, a float one that the config
  // calls quantized, a wrong shape.
  virtual std::optional<StoredWeight> describe(std::string_view name) const = 0;
  // The canonical weight, bit for bit; of a described name only. Throws Error when values are impossible: scales that
  // are not finite, negative where no tool writes one, or zero over codes that are not; NaN codes; indices out of
  // range.
  virtual Weight read(std::string_view name) const = 0;
  // Rows [begin, begin + count) of it: for stacks of experts, where reading the whole for each would not do.
  virtual Weight read_rows(std::string_view name, int64_t begin, int64_t count) const;
  // Names of all weights (matrices that describe answers), sorted.
  virtual std::vector<std::string> weights() const = 0;
  // Scales of the KV cache of the attention module of this name ("model.layers.0.self_attn"); nullopt: none stored.
  virtual std::optional<KvScales> kv_scales(std::string_view attention) const;
};

// How one tool spells weights as tensors. Knows no kernel and no model.
class Encoding {
 public:
  virtual ~Encoding() = default;
  virtual std::string_view name() const = 0;
  // One line for `omni methods`: who writes it and what it covers.
  virtual std::string_view what() const = 0;
  // From metadata (the component's quantization_config, or null; marker tensors or keys where a tool has no other),
  // never from a guess at names.
  virtual bool wrote(const Checkpoint& checkpoint, const JsonObject* quantization_config) const = 0;
  // checkpoint must outlive the result. Throws Error for a config that says what cannot be.
  virtual std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint,
                                              const JsonObject* quantization_config) const = 0;
};

std::span<const Encoding* const> encodings();  // sorted by name; "plain" reads float tensors

// The one encoding that wrote this checkpoint. Throws Error naming the method when none did.
const Encoding& find_encoding(const Checkpoint& checkpoint, const JsonObject* quantization_config);

// The quantization_config of a component: inline in its config, in its text_config, in a file of its own beside
// it (hf_quant_config.json, quantize_config.json ...), or none.
std::optional<JsonObject> find_quantization_config(const Checkpoint& checkpoint, const JsonObject& config);

// Describes every weight and throws Error for a quantization part (a scale, zero point, index ...) that belongs to
// none: the tensors must confirm what the metadata says.
void check_headers(const Checkpoint& checkpoint, const StoredWeights& stored);
// Reads every quantized weight as well, one after the other; returns how many.
int64_t check_values(const StoredWeights& stored);

}  // namespace omni
