#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// 8-bit floats beside float scales, whoever wrote them: transformers' and vLLM's "fp8", "fbgemm_fp8", ComfyUI's scaled
// single files, and fp8 tensors with scales and no config.
const Encoding& fp8_encoding();

}  // namespace omni
