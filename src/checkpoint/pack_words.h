#pragma once
#include "checkpoint/unpack_words.h"
#include "quant/weight.h"

namespace omni {

// Integer codes in 32-bit words as one stream of bits from the lowest on (WordLayout::kDense), each offset by half its
// range: the inverse of unpack_words (docs/formats.md).

// The codes of a weight, packed along its rows: i32 [rows, words].
Tensor pack_words(const Weight& weight, int bits);
// Whole numbers [rows, cols] f32 from 0 to 2^bits - 1, packed along columns: i32 [words, cols].
Tensor pack_word_columns(const Tensor& points, int bits);

}  // namespace omni
