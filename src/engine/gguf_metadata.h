#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "checkpoint/gguf_types.h"
#include "checkpoint/gguf_value.h"

namespace omni {

using GgufPairs = std::vector<std::pair<std::string, GgufValue>>;

// What a GGUF file of one component holds beside its weights.
struct GgufMetadata {
  GgufPairs pairs;                 // its architecture as readers name it, sizes, the tokenizer
  Tensor rope_factors;             // of rope_freqs.weight, f32; empty: none
  std::vector<std::string> notes;  // what a reader will miss
};

// type: of most weights. Throws Error naming an architecture that no reader of GGUF knows.
GgufMetadata gguf_metadata(const std::filesystem::path& folder, const JsonObject& config, GgmlType type);

}  // namespace omni
