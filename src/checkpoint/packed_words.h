#pragma once
#include <array>
#include <cstdint>

#include "tensor/tensor.h"

namespace omni {

// Small unsigned codes packed into i32 words, least significant bits first. 2-, 4- and 8-bit codes fill whole words, 32
// codes of 3 bits fill three, crossing their borders.

inline constexpr std::array<int, 4> kPackedBits = {2, 3, 4, 8};
// Words that hold count codes.
int64_t packed_words(int64_t count, int bits);

// Codes packed down the columns: words [W, N] -> bytes [N, K], one code each, K = W * 32 / bits.
Tensor unpack_columns(const Tensor& words, int bits);
// Codes packed along the rows: words [R, W] -> bytes [R, W * 32 / bits].
Tensor unpack_rows(const Tensor& words, int bits);
// 4-bit codes packed along the rows in the order of AWQ's GEMM: nibble i of a word is element kAwqOrder[i] of 8.
inline constexpr std::array<int, 8> kAwqOrder = {0, 2, 4, 6, 1, 3, 5, 7};
Tensor unpack_awq_rows(const Tensor& words);

// bytes [R, C] -> [C, R].
Tensor transpose_bytes(const Tensor& bytes);
// Floats of 2 or 4 bytes: [R, C] -> [C, R].
Tensor transpose_floats(const Tensor& values);

// The canonical codes of bytes [N, K] holding unsigned codes: dtype says their width; signed ones are code - half.
Tensor canonical_codes(const Tensor& bytes, DType dtype);

}  // namespace omni
