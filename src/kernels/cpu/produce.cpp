#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference/reference_ops.h"

namespace omni::cpu {

void produce(Exec& exec, const ProduceArgs& args) {
  reference::produce(exec, args);
}

}  // namespace omni::cpu
