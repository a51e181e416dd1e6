#include "kernels/cpu/simd_scalar.h"
// The vector type comes first.
#include "kernels/cpu/qkv_inl.h"

namespace omni::cpu {

const QkvTable kQkvScalar = {qkv_heads};

}  // namespace omni::cpu
