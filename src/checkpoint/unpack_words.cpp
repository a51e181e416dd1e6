#include "checkpoint/unpack_words.h"

#include <cassert>

namespace omni {
namespace {

// Code i of a run of words that lie stride words apart.
uint32_t code_of(const uint32_t* words, int64_t stride, int64_t i, int bits, WordLayout layout) {
  const uint32_t mask = (1U << bits) - 1;
  if (layout == WordLayout::kWhole) {
    const int64_t per_word = 32 / bits;
    return (words[i / per_word * stride] >> (i % per_word * bits)) & mask;
  }
  const int64_t bit = i * bits;
  uint64_t pair = words[bit / 32 * stride];
  if (bit % 32 + bits > 32) pair |= static_cast<uint64_t>(words[(bit / 32 + 1) * stride]) << 32;
  return static_cast<uint32_t>(pair >> (bit % 32)) & mask;
}

}  // namespace

int64_t word_count(WordLayout layout, int64_t count, int bits) {
  if (layout == WordLayout::kDense) return (count * bits + 31) / 32;
  const int64_t per_word = 32 / bits;
  return (count + per_word - 1) / per_word;
}

DType word_codes(int bits, bool zero_points, int64_t cols) {
  if (bits <= 4 && cols % 2 != 0) bits = 8;  // nibbles need whole bytes a row
  switch (bits) {
    case 2:
      return zero_points ? DType::kU2 : DType::kI2;
    case 3:
      return zero_points ? DType::kU3 : DType::kI3;
    case 4:
      return zero_points ? DType::kU4 : DType::kI4;
    case 5:
      return zero_points ? DType::kU5 : DType::kI5;
    case 6:
      return zero_points ? DType::kU8 : DType::kI6;
    default:
      return zero_points ? DType::kU8 : DType::kI8;
  }
}

Tensor unpack_words(const Tensor& words, WordLayout layout, int bits, DType codes, int64_t cols) {
  assert(words.cols() == word_count(layout, cols, bits));
  const bool is_signed =
      codes != DType::kU2 && codes != DType::kU3 && codes != DType::kU4 && codes != DType::kU5 && codes != DType::kU8;
  const auto offset = static_cast<uint32_t>(is_signed ? 1 << (bits - 1) : 0);
  const bool nibbles = dtype_info(codes).storage_bits == 4;
  Tensor out(codes, Shape{words.rows(), cols});
  auto* bytes = out.data<uint8_t>();
  for (int64_t row = 0; row < words.rows(); ++row) {
    const auto* source = words.data<uint32_t>() + row * words.row_stride();
    const auto code = [&](int64_t col) { return static_cast<uint8_t>(code_of(source, 1, col, bits, layout) - offset); };
    if (nibbles) {
      for (int64_t col = 0; col < cols; col += 2)
        *bytes++ = static_cast<uint8_t>((code(col) & 0xf) | (code(col + 1) << 4));
    } else {
      for (int64_t col = 0; col < cols; ++col) *bytes++ = code(col);
    }
  }
  return out;
}

Tensor unpack_word_columns(const Tensor& words, WordLayout layout, int bits, int64_t rows) {
  assert(words.rows() == word_count(layout, rows, bits));
  const int64_t cols = words.cols();
  Tensor out(DType::kF32, Shape{rows, cols});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col)
      out.f32()[row * cols + col] =
          static_cast<float>(code_of(words.data<uint32_t>() + col, words.row_stride(), row, bits, layout));
  }
  return out;
}

}  // namespace omni
