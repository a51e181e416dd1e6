#include "kernels/cpu/simd_scalar.h"
// The vector type comes first.
#include "kernels/cpu/math_inl.h"
// Then its functions.
#include "kernels/cpu/decoder_inl.h"

namespace omni::cpu {

const DecoderTable kDecoderScalar = {split_head, attend};

}  // namespace omni::cpu
