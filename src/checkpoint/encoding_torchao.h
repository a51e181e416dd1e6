#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// torchao tensor subclasses as transformers writes them: NAME._weight_qdata and its scales; weights only.
const Encoding& torchao_encoding();

}  // namespace omni
