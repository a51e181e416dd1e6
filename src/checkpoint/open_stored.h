#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/encoding.h"

namespace omni {

// Who wrote the weights below some prefixes of a checkpoint's names.
struct StoredPart {
  std::vector<std::string> prefixes;  // whole segments; empty: the rest, which is everything when there is one part
  const Encoding* encoding = nullptr;
  std::optional<JsonObject> quantization;  // what its config says
};

// All weights of a checkpoint, whichever encodings wrote them.
struct StoredCheckpoint {
  std::vector<StoredPart> parts;
  std::unique_ptr<StoredWeights> weights;
};

// A quantization_config speaks for the component whose config block carries it, and for no other: inside
// thinker_config.text_config for thinker.model and thinker.lm_head. checkpoint must outlive the result. Throws Error as
// find_encoding and Encoding::open do.
StoredCheckpoint open_stored(const Checkpoint& checkpoint, const JsonObject& config);

// Reads every quantized weight when all of them together take at most kSmallCheckpoint bytes, so that impossible values
// show without being asked for; returns how many it read, nullopt when they take more.
inline constexpr int64_t kSmallCheckpoint = int64_t{64} << 20;
std::optional<int64_t> check_small_values(const StoredWeights& stored);

}  // namespace omni
