#include "kernels/cpu/simd_avx2.h"
// The vector type comes first.
#include "kernels/cpu/pad_image_inl.h"

namespace omni::cpu {

const PadImageTable kPadImageAvx2 = {add_row, write_row};

}  // namespace omni::cpu
