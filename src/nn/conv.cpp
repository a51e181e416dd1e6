#include "nn/conv.h"

#include <utility>

#include "ops/ops.h"

namespace omni {

Conv::Conv(Weight packed, Tensor bias, const ConvShape& shape)
    : packed_(std::move(packed)), bias_(std::move(bias)), shape_(shape) {}

Tensor Conv::operator()(Exec& exec, const Tensor& padded) const {
  Tensor out = exec.scratch.tensor(DType::kF32, output_shape(padded.shape()[0] - 2, padded.shape()[1] - 2));
  into(exec, padded, nullptr, out);
  return out;
}

void Conv::into(Exec& exec, const Tensor& padded, const Tensor* residual, Tensor& out) const {
  ops::conv(exec, ConvArgs{.image = &padded,
                           .weight = &packed_,
                           .bias = bias_.empty() ? nullptr : bias_.f32(),
                           .kernel = shape_.kernel,
                           .stride = shape_.stride,
                           .upsample = shape_.upsample,
                           .residual = residual,
                           .out = &out});
}

}  // namespace omni
