#pragma once
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cuda_absent/cuda_ops.h"
#include "tensor/activation.h"
#include "tensor/exec.h"

namespace omni::ops {

inline bool is_float_operand(const Tensor& x) {
  return x.dtype() == DType::kF32 || x.dtype() == DType::kBF16;
}

// Calls the kernel of the device. Both functions take (Exec&, args).
template <class Cpu, class Cuda, class Args>
auto dispatch(Exec& exec, Cpu on_cpu, Cuda on_cuda, const Args& args) {
  switch (exec.device.kind) {
    case DeviceKind::kCpu:
      return on_cpu(exec, args);
    case DeviceKind::kCuda:
      break;
  }
  return on_cuda(exec, args);
}

// An uninitialised activation of the format, from the scratch arena.
Activation empty_activation(Exec& exec, int64_t rows, int64_t cols, const ActFormat& format);

}  // namespace omni::ops
