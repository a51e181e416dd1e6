#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// AutoRound's own metadata over GPTQ and AWQ packing (checkpoint/packed_int.h) or compressed-tensors.
const Encoding& autoround_encoding();

}  // namespace omni
