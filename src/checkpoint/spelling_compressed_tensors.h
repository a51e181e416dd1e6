#pragma once
#include "checkpoint/spelling.h"

namespace omni {

const Spelling& compressed_tensors_spelling();

}  // namespace omni
