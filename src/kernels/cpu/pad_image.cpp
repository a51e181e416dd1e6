#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace omni::cpu {

void pad_image(Exec& exec, const PadImageArgs& args) {
  reference::pad_image(exec, args);
}

}  // namespace omni::cpu
