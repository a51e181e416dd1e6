#pragma once
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_write.h"
#include "quant/weight.h"

namespace omni {

// A quantized weight that will be written under this name, without ".weight".
struct SpelledWeight {
  std::string name;
  QuantScheme scheme;
  int64_t rows = 0, cols = 0;
};

// The inverse of an Encoding: how weights become the named tensors of one tool's spelling in safetensors, and the
// quantization_config that says so. What it writes the Encoding reads back to the same numbers. Knows no model.
class Spelling {
 public:
  virtual ~Spelling() = default;
  virtual std::string_view name() const = 0;  // what --format takes: "compressed-tensors"
  // One line for the help: which tools read it.
  virtual std::string_view what() const = 0;
  // Why one component's weights of these schemes cannot be written; "" when they can.
  virtual std::string refusal(std::span<const QuantScheme> schemes) const = 0;
  // The tensors of a weight, without values. Its scheme is not refused; neither below.
  virtual std::vector<TensorHeader> headers(const SpelledWeight& weight) const = 0;
  // The same with values. Throws Error naming where for numbers that the spelling cannot hold exactly.
  virtual std::vector<NamedTensor> spell(std::string_view name, const Weight& weight, std::string_view where) const = 0;
  // quantization_config of a component. kept: names of the linears left in float.
  virtual nlohmann::ordered_json config(std::span<const SpelledWeight> weights,
                                        std::span<const std::string> kept) const = 0;
};

std::span<const Spelling* const> spellings();  // sorted by name
const Spelling* find_spelling(std::string_view name);

}  // namespace omni
