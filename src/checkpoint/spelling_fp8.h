#pragma once
#include "checkpoint/spelling.h"

namespace omni {

const Spelling& fp8_spelling();

}  // namespace omni
