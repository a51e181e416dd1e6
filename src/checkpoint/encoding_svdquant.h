#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// SVDQuant with NVFP4 codes, repacked row-major: NAME.qweight, wscales, proj_down, proj_up, smooth_factor.
const Encoding& svdquant_encoding();

}  // namespace omni
