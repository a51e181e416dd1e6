#pragma once
#include <cstdint>

#include "tensor/tensor.h"

namespace omni {

// Integer codes packed into 32-bit words from the lowest bit on (docs/formats.md). Values are offset by half the range.
// kDense: one stream of bits, a code may lie in two words. kWhole: floor(32 / bits) codes a word, the rest unused. Both
// are the same when bits divides 32.
enum class WordLayout : uint8_t { kDense, kWhole };

// The words that count codes take.
int64_t word_count(WordLayout layout, int64_t count, int bits);

// The dtype for codes of bits (2..8), unsigned when they have zero points, that a matrix of cols columns can be kept
// in.
DType word_codes(int bits, bool zero_points, int64_t cols);

// Rows of codes: words i32 [rows, words] to codes [rows, cols], signed ones without their offset.
Tensor unpack_words(const Tensor& words, WordLayout layout, int bits, DType codes, int64_t cols);
// Codes packed along rows: words i32 [words, cols] to f32 [rows, cols], as stored (with their offset).
Tensor unpack_word_columns(const Tensor& words, WordLayout layout, int bits, int64_t rows);

}  // namespace omni
