#pragma once
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/isa.h"

// What the linear kernels share: from a packed weight and an activation to a Gemm.
namespace omni::cpu {

// Multiplies. x.values must be in the table's A format, except that s8 is widened to s16 and rows whose k is no
// multiple of the table's step are padded, both in exec.scratch.
void run_linear(Exec& exec, const GemmTable& table, const Weight& packed, const Activation& x, Tensor& y,
                const Epilogue& epilogue);

// What an instruction set lacks on this machine or under OMNI_ISA; "" when it may be used.
enum class Need : uint8_t { kAvx2, kAvx512, kBF16, kVnni };
std::string why_not_available(Need need);

// True for weights of i8 with a scale a channel or tensor and i8 activations: the int8 kernels' own.
bool is_int8_int8(const QuantScheme& scheme);

}  // namespace omni::cpu
