#pragma once
#include <span>

#include <string_view>

#include "base/thread_pool.h"
#include "quant/weight.h"

namespace omni {

// The only code that reads and writes canonical weights value by value. Slow and obvious: it judges every kernel, and
// its encoder is the online quantizer's definition. Encoders round weights without calibration data.

// Writes row `row` of a canonical weight as f32 into out [cols].
void decode_row(const Weight& weight, int64_t row, std::span<float> out);

// The whole matrix, [rows, cols] f32.
Tensor decode(const Weight& weight, ThreadPool* pool = nullptr);
// The same into out: [rows, cols] f32, rows may lie apart.
void decode_into(const Weight& weight, Tensor& out, ThreadPool* pool);

// Quantizes values ([rows, cols] f32, contiguous, finite) to scheme. Throws Error naming where when a value is not
// finite or the scheme's groups do not divide cols (message names both numbers). pool may be null.
Weight encode(const Tensor& values, const QuantScheme& scheme, std::string_view where, ThreadPool* pool);

// Reads code (row, col) of a canonical quantized weight as an integer (raw bits for float codes).
int code_at(const Weight& weight, int64_t row, int64_t col);

// Quantizes x [rows, cols] f32 as format says: the judge of every producer. Rounds half to even.
Activation quantize_activation(const Tensor& x, const ActFormat& format);
// The f32 values an activation stands for, [rows, cols].
Tensor dequantize_activation(const Activation& x);

// Relative error of an encoding: |decode(w) - values|_F / |values|_F.
double relative_error(const Tensor& values, const Weight& weight, ThreadPool* pool = nullptr);

}  // namespace omni
