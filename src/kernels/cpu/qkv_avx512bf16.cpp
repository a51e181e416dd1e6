#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/qkv_inl.h"

namespace omni::cpu {

const QkvTable kQkvAvx512Bf16 = {qkv_heads};

}  // namespace omni::cpu
