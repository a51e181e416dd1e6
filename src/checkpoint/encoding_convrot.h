#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// ConvRot int8: rotated weights that NAME.comfy_quant markers describe.
const Encoding& convrot_encoding();

}  // namespace omni
