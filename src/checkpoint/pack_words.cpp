#include "checkpoint/pack_words.h"

#include <cstring>

#include "quant/codec.h"

namespace omni {
namespace {

// Sets code i of a run of words that lie stride words apart; the words are zero before.
void put_code(uint32_t* words, int64_t stride, int64_t i, int bits, uint32_t code) {
  const int64_t bit = i * bits;
  const uint64_t pair = static_cast<uint64_t>(code) << (bit % 32);
  words[bit / 32 * stride] |= static_cast<uint32_t>(pair);
  if (bit % 32 + bits > 32) words[(bit / 32 + 1) * stride] |= static_cast<uint32_t>(pair >> 32);
}

Tensor zero_words(int64_t rows, int64_t cols) {
  Tensor out(DType::kI32, Shape{rows, cols});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  return out;
}

}  // namespace

Tensor pack_words(const Weight& weight, int bits) {
  Tensor out = zero_words(weight.rows, word_count(WordLayout::kDense, weight.cols, bits));
  const int offset = int_range(weight.scheme.codes).low < 0 ? 1 << (bits - 1) : 0;
  for (int64_t row = 0; row < weight.rows; ++row) {
    auto* words = out.data<uint32_t>() + row * out.cols();
    for (int64_t col = 0; col < weight.cols; ++col)
      put_code(words, 1, col, bits, static_cast<uint32_t>(code_at(weight, row, col) + offset));
  }
  return out;
}

Tensor pack_word_columns(const Tensor& points, int bits) {
  Tensor out = zero_words(word_count(WordLayout::kDense, points.rows(), bits), points.cols());
  for (int64_t row = 0; row < points.rows(); ++row) {
    for (int64_t col = 0; col < points.cols(); ++col) {
      const auto code = static_cast<uint32_t>(points.f32()[row * points.row_stride() + col]);
      put_code(out.data<uint32_t>() + col, out.cols(), row, bits, code);
    }
  }
  return out;
}

}  // namespace omni
