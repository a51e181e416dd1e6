#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// AWQ 4-bit integers in the layouts of AutoAWQ's GEMM and GEMV (checkpoint/packed_int.h).
const Encoding& awq_encoding();

}  // namespace omni
