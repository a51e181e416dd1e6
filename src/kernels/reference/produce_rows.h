#pragma once
#include "kernels/linear.h"
#include "tensor/activation.h"

namespace omni::reference {

// Value (row, col) of a f32 or bf16 tensor.
double value_at(const Tensor& tensor, int64_t row, int64_t col);
// Rounds value into (row, col) of a f32 or bf16 tensor.
void set_value(Tensor& tensor, int64_t row, int64_t col, double value);

double activate(Act act, double x);

// Writes wide [m, d] f32, contiguous, into out as out.format says; quantized formats through quantize_activation().
void store_rows(const Tensor& wide, Activation& out);

}  // namespace omni::reference
