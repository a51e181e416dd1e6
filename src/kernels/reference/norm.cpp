#include <cmath>

#include "kernels/reference/produce_rows.h"
#include "kernels/reference/reference_ops.h"

namespace omni::reference {

void norm(Exec&, const NormArgs& args) {
  const Tensor& x = *args.x;
  const int64_t rows = x.rows(), cols = x.cols();
  Tensor wide(DType::kF32, Shape{rows, cols});
  for (int64_t row = 0; row < rows; ++row) {
    double mean = 0, square = 0;
    if (args.subtract_mean) {
      for (int64_t col = 0; col < cols; ++col) mean += value_at(x, row, col);
      mean /= static_cast<double>(cols);
    }
    for (int64_t col = 0; col < cols; ++col) square += std::pow(value_at(x, row, col) - mean, 2);
    const double inverse = 1 / std::sqrt(square / static_cast<double>(cols) + args.eps);
    for (int64_t col = 0; col < cols; ++col) {
      double gain = args.gain == nullptr ? 1 : args.gain[col];
      if (args.gain_plus_one) gain += 1;
      const double shift = args.shift == nullptr ? 0 : args.shift[col];
      wide.f32()[row * cols + col] = static_cast<float>((value_at(x, row, col) - mean) * inverse * gain + shift);
    }
  }
  store_rows(wide, *args.out);
}

}  // namespace omni::reference
