#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// GPTQ 2-, 3-, 4- and 8-bit integers (checkpoint/packed_int.h), of AutoGPTQ, GPTQModel and AutoRound.
const Encoding& gptq_encoding();

}  // namespace omni
