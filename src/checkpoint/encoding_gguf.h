#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// Every tensor of two dimensions or more, and every one in blocks, of a GGUF file; a stack [E, rows, cols] is one
// matrix [E * rows, cols]. Names with or without ".weight". Integer and f64 tensors are read as f32.
const Encoding& gguf_encoding();

}  // namespace omni
