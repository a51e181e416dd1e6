#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// What llm-compressor and AutoRound write through compressed-tensors: config_groups of targets, one format a group.
const Encoding& compressed_tensors_encoding();

}  // namespace omni
