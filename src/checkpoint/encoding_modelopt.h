#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// What NVIDIA ModelOpt exports: one quant_algo, or one a layer, in config.json or in hf_quant_config.json.
const Encoding& modelopt_encoding();

}  // namespace omni
