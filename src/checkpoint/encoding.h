#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "quant/weight.h"

namespace omni {

// What a checkpoint holds at one name, without reading its values.
struct StoredWeight {
  QuantScheme scheme;  // not quantized: float_dtype says how
  DType float_dtype = DType::kNone;
  int64_t rows = 0, cols = 0;
  int64_t bytes = 0;
};

// How one tool spells one weight as several tensors. Knows no kernel and no model.
class Encoding {
 public:
  virtual ~Encoding() = default;
  virtual std::string_view name() const = 0;
  // From metadata (the component's quantization_config, or null), never from tensor names alone.
  virtual bool wrote(const Checkpoint& checkpoint, const JsonObject* quantization_config) const = 0;
  // name without ".weight". nullopt when the checkpoint has no such weight. Throws Error on wrong shape or values.
  virtual std::optional<StoredWeight> describe(const Checkpoint& checkpoint, std::string_view name) const = 0;
  virtual std::optional<Weight> read(const Checkpoint& checkpoint, std::string_view name) const = 0;
};

std::span<const Encoding* const> encodings();  // sorted by name; "plain" reads float tensors

// The one encoding that wrote this checkpoint. Throws Error naming the method when none did.
const Encoding& find_encoding(const Checkpoint& checkpoint, const JsonObject* quantization_config);

}  // namespace omni
