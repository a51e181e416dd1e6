#pragma once
#include <cstdint>
#include <span>

#include "quant/weight.h"
#include "tensor/exec.h"

namespace omni::ops {

// out[i] = table[ids[i]]. table: [rows, d] f32, f16 or bf16; out: [ids, d] f32. Throws Error for an id outside the
// table.
void embed(Exec& exec, const Tensor& table, std::span<const int32_t> ids, Tensor& out);

// The same of a canonical weight in any format: the rows asked for are decoded.
void embed(Exec& exec, const Weight& table, std::span<const int32_t> ids, Tensor& out);

// y += x, both [m, d]; x f32, f16 or bf16, y f32.
void add(Exec& exec, const Tensor& x, Tensor& y);

}  // namespace omni::ops
