#pragma once
#include "tensor/tensor.h"

namespace omni {

enum class ActQuant : uint8_t { kNone, kStatic, kPerTensor, kPerToken, kPerGroup };

// The form in which a linear wants its input, so that the producer (a norm, a GELU) writes it once for all consumers.
// kNone: float values of dtype `storage` (f32 or bf16). Else codes of dtype `codes` with an f32 scale a row (per token)
// or one for all rows (per tensor), symmetric: value = code * scale, scale = max|x| / largest code (1 for a row of
// zeros). `storage` says how a code lies in memory: i8; u8 = i8 code + 128; f8e4m3; or bf16 / f32 holding the code's
// exact value.
struct ActFormat {
  ActQuant quant = ActQuant::kNone;
  DType codes = DType::kNone;  // kI8 or kF8E4M3
  DType storage = DType::kF32;
  float static_scale = 0;  // kStatic only
  bool operator==(const ActFormat&) const = default;
};

// What a linear eats: values [rows, cols] in format.storage, and for quantized ones scales [rows] (per tensor: [1])
// f32.
struct Activation {
  ActFormat format;
  Tensor values;
  Tensor scales;
  // Rows [first, first + count), the same memory.
  Activation rows(int64_t first, int64_t count) const {
    return {format, values.row_range(first, count),
            format.quant == ActQuant::kPerToken ? scales.columns(first, count) : scales};
  }
};

// Float values as they are. tensor: f32 or bf16.
inline Activation float_activation(const Tensor& tensor) {
  return Activation{ActFormat{.storage = tensor.dtype()}, tensor, {}};
}

}  // namespace omni
