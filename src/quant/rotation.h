#pragma once
#include <span>

namespace omni {

// The rotation of QuantScheme::rotation: every block of `block` values v becomes v * H, H being the regular Hadamard
// matrix of that size over its square root: the Kronecker power of
//   [ 1 1 1 -1;  1 1 -1 1;  1 -1 1 1;  -1 1 1 1 ] / 2
// It is symmetric and its own inverse, so that the same call rotates weights, inputs, and both back. Sums in double.
void rotate_blocks(std::span<float> values, int block);

// Whether there is such a matrix: a power of 4, 4 or more.
bool is_rotation_size(int block);

}  // namespace omni
