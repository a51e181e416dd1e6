#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "quant/scheme.h"
#include "tensor/tensor.h"

namespace omni {

// What decoders and encoders share: how scales, minima and codes lie in canonical tensors.

// body(row) for every row, over all threads of pool (null: this one).
void for_rows(int64_t rows, int64_t cols, ThreadPool* pool, FunctionRef<void(int64_t row)> body);

// The f32 value of every stored code: 256 entries by byte, or 16 by nibble for 4-bit codes.
std::span<const float> code_values(DType codes);
inline bool is_nibble(DType codes) {
  return dtype_info(codes).storage_bits == 4;
}

inline int64_t group_count(int64_t extent, int group) {
  return group == 0 ? 1 : (extent + group - 1) / group;
}
// The index along an axis of the group that element i belongs to.
inline int64_t group_of(int64_t i, int group) {
  return group == 0 ? 0 : i / group;
}

// Element (row, col) of a scale tensor as f32.
float read_scale(const Tensor& scales, int64_t row, int64_t col);
// Elements (row, 0 ...) of it.
void read_scales(const Tensor& scales, int64_t row, std::span<float> out);
// value must be one that round_scale returned for this dtype.
void write_scale(Tensor& scales, int64_t row, int64_t col, float value);
// The nearest value dtype can hold; infinity when it is beyond the largest (E4M3 and E8M0 too).
float round_scale(DType dtype, float value);

// What tools that divide by their outer scale store in place of outer: G such that s / G equals s * outer in f32 for
// every E4M3 number s (short of underflow). nullopt: outer has none.
std::optional<float> exact_inverse(float outer);

// E4M3 bits, round to nearest even, saturating; equal to f32_to_f8e4m3 for every finite value, and quick.
uint8_t quick_f8e4m3(float value);

// Round half to even for |value| < 2^22, without a library call. T: float or a vector of them.
template <class T>
T round_even(T value) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
  return (value + kMagic) - kMagic;
}

}  // namespace omni
