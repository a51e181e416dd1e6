#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace omni::cpu {

void attention(Exec& exec, const AttentionArgs& args) {
  reference::attention(exec, args);
}

}  // namespace omni::cpu
