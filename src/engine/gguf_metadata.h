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

// The metadata of a GGUF file of one component: its architecture as readers name it, sizes, the tokenizer. type: of
// most weights. Adds to notes what a reader will miss. Throws Error naming an architecture that no reader of GGUF
// knows.
GgufPairs gguf_metadata(const std::filesystem::path& folder, const JsonObject& config, GgmlType type,
                        std::vector<std::string>& notes);

}  // namespace omni
