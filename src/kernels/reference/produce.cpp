#include <cassert>
#include <cmath>
#include <cstring>
#include <numbers>

#include "kernels/reference/produce_rows.h"
#include "kernels/reference/reference_ops.h"
#include "quant/codec.h"
#include "tensor/float_bits.h"

namespace omni::reference {

double value_at(const Tensor& tensor, int64_t row, int64_t col) {
  const int64_t at = row * tensor.row_stride() + col;
  if (tensor.dtype() == DType::kF32) return tensor.f32()[at];
  assert(tensor.dtype() == DType::kBF16);
  return bf16_to_f32(tensor.data<uint16_t>()[at]);
}

void set_value(Tensor& tensor, int64_t row, int64_t col, double value) {
  const int64_t at = row * tensor.row_stride() + col;
  if (tensor.dtype() == DType::kF32) {
    tensor.f32()[at] = static_cast<float>(value);
    return;
  }
  assert(tensor.dtype() == DType::kBF16);
  tensor.data<uint16_t>()[at] = f32_to_bf16(static_cast<float>(value));
}

double activate(Act act, double x) {
  const auto sigmoid = [](double t) { return 1 / (1 + std::exp(-t)); };
  switch (act) {
    case Act::kNone:
      return x;
    case Act::kGeluTanh:
      // x / 2 (1 + tanh u) = x sigmoid(2 u), which keeps its digits where tanh u is near -1.
      return x * sigmoid(2 * std::sqrt(2 * std::numbers::inv_pi) * (x + 0.044715 * x * x * x));
    case Act::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Act::kQuickGelu:
      return x * sigmoid(1.702 * x);
    case Act::kSilu:
      return x * sigmoid(x);
  }
  return x;
}

void store_rows(const Tensor& wide, Activation& out) {
  const int64_t rows = wide.rows(), cols = wide.cols();
  assert(out.values.rows() == rows && out.values.cols() == cols);
  if (out.format.quant == ActQuant::kNone) {
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t col = 0; col < cols; ++col) set_value(out.values, row, col, wide.f32()[row * cols + col]);
    }
    return;
  }
  const Activation judged = quantize_activation(wide, out.format);
  const auto row_bytes = static_cast<size_t>(storage_bytes(out.format.storage, cols));
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t to = storage_bytes(out.format.storage, row * out.values.row_stride());
    std::memcpy(out.values.raw() + to, judged.values.raw() + static_cast<size_t>(row) * row_bytes, row_bytes);
  }
  std::memcpy(out.scales.raw(), judged.scales.raw(), static_cast<size_t>(out.scales.bytes()));
}

void produce(Exec&, const ProduceArgs& args) {
  assert(args.a != nullptr || args.b != nullptr);
  assert(args.c == nullptr || args.a == nullptr);
  const int64_t rows = args.out->values.rows();
  const int64_t plain = args.a == nullptr ? 0 : args.a->cols(), activated = args.b == nullptr ? 0 : args.b->cols();
  Tensor wide(DType::kF32, Shape{rows, plain + activated});
  for (int64_t row = 0; row < rows; ++row) {
    float* to = wide.f32() + row * wide.cols();
    for (int64_t col = 0; col < plain; ++col) to[col] = static_cast<float>(value_at(*args.a, row, col));
    for (int64_t col = 0; col < activated; ++col) {
      double value = activate(args.act, value_at(*args.b, row, col));
      if (args.c != nullptr) value *= value_at(*args.c, row, col);
      to[plain + col] = static_cast<float>(value);
    }
  }
  store_rows(wide, *args.out);
}

}  // namespace omni::reference
