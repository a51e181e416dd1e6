#include "checkpoint/packed_words.h"

#include <algorithm>
#include <cassert>

namespace omni {
namespace {

constexpr int64_t kBlock = 16;  // columns done together: a cache line of words

// The unit in which codes fill whole words.
struct Unit {
  int words, codes;
};
constexpr Unit unit_of(int bits) {
  return bits == 3 ? Unit{3, 32} : Unit{1, 32 / bits};
}

// One unit of codes from words that lie `stride` apart.
void unpack_unit(const uint32_t* words, int64_t stride, int bits, uint8_t* out) {
  const uint32_t mask = (1u << bits) - 1;
  if (bits != 3) {
    const uint32_t word = words[0];
    for (int i = 0; i < 32 / bits; ++i) out[i] = static_cast<uint8_t>((word >> (i * bits)) & mask);
    return;
  }
  uint64_t low = words[0] | static_cast<uint64_t>(words[stride]) << 32;
  for (int i = 0; i < 21; ++i, low >>= 3) out[i] = static_cast<uint8_t>(low & mask);
  low |= static_cast<uint64_t>(words[2 * stride]) << 1;  // one bit is left over
  for (int i = 21; i < 32; ++i, low >>= 3) out[i] = static_cast<uint8_t>(low & mask);
}

template <class T>
Tensor transposed(const Tensor& from) {
  const int64_t rows = from.rows(), cols = from.cols();
  Tensor out(from.dtype(), Shape{cols, rows});
  for (int64_t begin = 0; begin < rows; begin += 64) {
    for (int64_t col = 0; col < cols; ++col) {
      T* target = out.data<T>() + col * rows;
      for (int64_t row = begin; row < std::min(rows, begin + 64); ++row)
        target[row] = from.data<T>()[row * from.row_stride() + col];
    }
  }
  return out;
}

}  // namespace

int64_t packed_words(int64_t count, int bits) {
  return (count * bits + 31) / 32;
}

Tensor unpack_columns(const Tensor& words, int bits) {
  const Unit unit = unit_of(bits);
  assert(words.rows() % unit.words == 0);
  const int64_t cols = words.cols(), count = words.rows() / unit.words * unit.codes;
  Tensor out(DType::kU8, Shape{cols, count});
  for (int64_t begin = 0; begin < cols; begin += kBlock) {
    for (int64_t at = 0; at * unit.words < words.rows(); ++at) {
      const uint32_t* row = words.data<uint32_t>() + at * unit.words * words.row_stride();
      for (int64_t col = begin; col < std::min(cols, begin + kBlock); ++col)
        unpack_unit(row + col, words.row_stride(), bits, out.data<uint8_t>() + col * count + at * unit.codes);
    }
  }
  return out;
}

Tensor unpack_rows(const Tensor& words, int bits) {
  const Unit unit = unit_of(bits);
  assert(words.cols() % unit.words == 0);
  const int64_t units = words.cols() / unit.words;
  Tensor out(DType::kU8, Shape{words.rows(), units * unit.codes});
  for (int64_t row = 0; row < words.rows(); ++row) {
    for (int64_t at = 0; at < units; ++at)
      unpack_unit(words.data<uint32_t>() + row * words.row_stride() + at * unit.words, 1, bits,
                  out.data<uint8_t>() + (row * units + at) * unit.codes);
  }
  return out;
}

Tensor unpack_awq_rows(const Tensor& words) {
  Tensor out(DType::kU8, Shape{words.rows(), words.cols() * 8});
  for (int64_t row = 0; row < words.rows(); ++row) {
    for (int64_t at = 0; at < words.cols(); ++at) {
      const uint32_t word = words.data<uint32_t>()[row * words.row_stride() + at];
      uint8_t* target = out.data<uint8_t>() + (row * words.cols() + at) * 8;
      for (size_t i = 0; i < 8; ++i) target[kAwqOrder[i]] = static_cast<uint8_t>((word >> (i * 4)) & 0xf);
    }
  }
  return out;
}

Tensor transpose_bytes(const Tensor& bytes) {
  return transposed<uint8_t>(bytes);
}

Tensor transpose_floats(const Tensor& values) {
  return dtype_info(values.dtype()).bits == 32 ? transposed<uint32_t>(values) : transposed<uint16_t>(values);
}

Tensor canonical_codes(const Tensor& bytes, DType dtype) {
  const int low = int_range(dtype).low;  // 0, or -half for signed codes
  const bool nibbles = dtype_info(dtype).storage_bits == 4;
  Tensor out(dtype, bytes.shape());
  auto* target = out.data<uint8_t>();
  const auto* from = bytes.data<uint8_t>();
  const int64_t count = bytes.shape().count();
  if (!nibbles) {
    for (int64_t i = 0; i < count; ++i) target[i] = static_cast<uint8_t>(from[i] + low);
    return out;
  }
  for (int64_t i = 0; i + 1 < count; i += 2)
    target[i / 2] = static_cast<uint8_t>(((from[i] + low) & 0xf) | (((from[i + 1] + low) & 0xf) << 4));
  return out;
}

}  // namespace omni
