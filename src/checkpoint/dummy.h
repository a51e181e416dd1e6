#pragma once
#include <cstdint>
#include <string_view>

#include "tensor/tensor.h"

namespace omni {

// Seeded stand-ins for weights that nobody has: the same seed and name give the same values on every machine.

// [rows, cols] bf16, near to normal with deviation 0.02.
Tensor dummy_matrix(uint64_t seed, std::string_view name, int64_t rows, int64_t cols);

// f32: vectors named *.weight (norm gains) are 1, biases are 0, everything else like dummy_matrix.
Tensor dummy_tensor(uint64_t seed, std::string_view name, Shape shape);

}  // namespace omni
