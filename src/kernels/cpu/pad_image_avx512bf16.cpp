#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/pad_image_inl.h"

namespace omni::cpu {

const PadImageTable kPadImageAvx512Bf16 = {add_row, write_row};

}  // namespace omni::cpu
