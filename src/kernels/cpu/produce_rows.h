#pragma once
#include "base/function_ref.h"
#include "kernels/cpu/produce_table.h"
#include "tensor/activation.h"
#include "tensor/exec.h"

namespace omni::cpu {

// Fills out, rows split over the threads: compute writes row `row` as f32 into to [cols] and returns its max|x|; the
// row is then rounded into out.format. Per-tensor scales take a second pass.
void produce_rows(Exec& exec, Activation& out, FunctionRef<float(int64_t row, float* to)> compute);

// Rows a chunk should have so that it holds enough work of cost elements a row, and every thread gets a few.
int64_t rows_a_chunk(int64_t rows, int64_t cost, int threads);

}  // namespace omni::cpu
