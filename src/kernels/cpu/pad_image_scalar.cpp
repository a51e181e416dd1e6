#include "kernels/cpu/simd_scalar.h"
// The vector type comes first.
#include "kernels/cpu/pad_image_inl.h"

namespace omni::cpu {

const PadImageTable kPadImageScalar = {add_row, write_row};

}  // namespace omni::cpu
