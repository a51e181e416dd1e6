#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// optimum-quanto int8, int4, int2 and float8 weights as its own save writes them: NAME.weight._data and _scale.
const Encoding& quanto_encoding();

}  // namespace omni
