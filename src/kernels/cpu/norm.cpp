#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace omni::cpu {

void norm(Exec& exec, const NormArgs& args) {
  reference::norm(exec, args);
}

}  // namespace omni::cpu
