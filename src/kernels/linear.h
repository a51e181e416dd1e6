#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/weight.h"
#include "tensor/exec.h"

namespace omni {

// y = x W^T for one weight format: what a kernel is asked before anything is loaded.
struct LinearProblem {
  QuantScheme scheme;
  DType weight_float = DType::kNone;  // f32, f16 or bf16 when scheme is not quantized
  int64_t n = 0, k = 0;               // outputs, inputs
  DType compute = DType::kBF16;       // Exec::compute
  Device device;
};

// Ok (why is empty) or why not. A note may accompany ok ("K = 2520 padded to 2560").
struct Verdict {
  bool ok = false;
  std::string why;
};

// Applied to each output in this order: acc * scales, + bias, activation, * gate, + residual.
enum class Act : uint8_t { kNone, kGeluTanh, kGeluErf, kQuickGelu, kSilu };
struct Epilogue {
  const float* bias = nullptr;  // [n]
  Act act = Act::kNone;
  const float* gate = nullptr;       // [n], multiplies
  const Tensor* residual = nullptr;  // [m, n] f32, added; may be the output itself
};

// Raise when what encode or any pack writes changes: packed weights on disk are then made anew.
inline constexpr int kPackVersion = 1;

// One way to multiply. Stateless; used by the engine's thread. run allocates only from exec.scratch.
class LinearKernel {
 public:
  virtual ~LinearKernel() = default;
  virtual std::string_view name() const = 0;
  virtual Verdict supports(const LinearProblem& problem) const = 0;
  // Once, at load: a canonical weight into this kernel's layout. Bytes of the result are what stays in memory.
  virtual Weight pack(Exec& exec, const Weight& canonical) const = 0;
  // Bytes pack would return, from the problem alone.
  virtual int64_t packed_bytes(const LinearProblem& problem) const = 0;
  virtual ActFormat wants(const Weight& packed, DType compute) const = 0;
  // x: [m, k] in wants(); y: [m, n] f32 or bf16, rows may be strided.
  virtual void run(Exec& exec, const Weight& packed, const Activation& x, Tensor& y,
                   const Epilogue& epilogue) const = 0;
  virtual bool is_reference() const { return false; }
};

// Every kernel, best first, the reference last; those whose instructions this machine or OMNI_ISA lacks decline in
// supports.
std::span<const LinearKernel* const> linear_kernels();

struct KernelChoice {
  const LinearKernel* kernel = nullptr;
  std::vector<std::string> refusals;  // "name: why", of better kernels
};
// The first kernel that supports the problem; null when none does.
KernelChoice find_linear_kernel(const LinearProblem& problem);
// The same; throws Error naming where with every refusal when none does.
KernelChoice choose_linear_kernel(const LinearProblem& problem, std::string_view where);

}  // namespace omni
