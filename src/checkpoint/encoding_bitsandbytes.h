#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// bitsandbytes 4-bit tables (nf4, fp4), absmax plain or itself quantized, and int8 with a scale a row.
const Encoding& bitsandbytes_encoding();

}  // namespace omni
