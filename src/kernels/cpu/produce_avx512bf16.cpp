#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/produce_inl.h"

namespace omni::cpu {

const ProduceTable kProduceAvx512Bf16 = {norm_row, activate_row, gate_row, store_row};

}  // namespace omni::cpu
