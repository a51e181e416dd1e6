#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/math_inl.h"
// Then its functions.
#include "kernels/cpu/decoder_inl.h"

namespace omni::cpu {

const DecoderTable kDecoderAvx512 = {split_head, attend};

}  // namespace omni::cpu
