#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace omni::cpu {

void qkv(Exec& exec, const QkvArgs& args) {
  reference::qkv(exec, args);
}

}  // namespace omni::cpu
