#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "quant/weight.h"

namespace omni {

// A matrix on its way into `out`: what the encoders of rows share.
struct EncodeJob {
  const Tensor& values;
  std::string_view where;
  Weight& out;

  std::span<const float> row(int64_t index) const {
    return {values.f32() + index * values.row_stride(), static_cast<size_t>(values.cols())};
  }
};

// Encodes one row of a two-level K-quant scheme (super-blocks of groups) into codes [cols], a byte each.
void encode_super_row(const EncodeJob& job, int64_t row, std::span<uint8_t> codes);

// Throws the Error of a scale that its dtype cannot hold.
[[noreturn]] void throw_scale_overflow(const EncodeJob& job, int64_t row, int64_t col);

}  // namespace omni
