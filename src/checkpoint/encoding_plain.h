#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// NAME.weight as one f32, f16 or bf16 matrix.
const Encoding& plain_encoding();

}  // namespace omni
