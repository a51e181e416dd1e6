#pragma once
#include "kernels/linear.h"

namespace omni::reference {

// Every scheme the codec reads, plain loops with double sums over exactly decoded weights: the judge of the other
// linear kernels and the last resort.
const LinearKernel& linear_reference();

}  // namespace omni::reference
