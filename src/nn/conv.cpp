#include "nn/conv.h"

#include <utility>

#include "ops/ops.h"

namespace omni {

Conv::Conv(Weight packed, Tensor bias, int kernel, int stride, int64_t c_out)
    : packed_(std::move(packed)), bias_(std::move(bias)), kernel_(kernel), stride_(stride), c_out_(c_out) {}

Tensor Conv::operator()(Exec& exec, const Tensor& padded) const {
  const int64_t h = padded.shape()[0] - 2, w = padded.shape()[1] - 2;
  Tensor out = exec.scratch.tensor(DType::kF32, Shape{h / stride_, w / stride_, c_out_});
  into(exec, padded, nullptr, out);
  return out;
}

void Conv::into(Exec& exec, const Tensor& padded, const Tensor* residual, Tensor& out) const {
  ops::conv(exec, ConvArgs{.image = &padded,
                           .weight = &packed_,
                           .bias = bias_.empty() ? nullptr : bias_.f32(),
                           .kernel = kernel_,
                           .stride = stride_,
                           .residual = residual,
                           .out = &out});
}

}  // namespace omni
