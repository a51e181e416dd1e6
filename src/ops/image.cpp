#include <cassert>

#include "ops/dispatch.h"
#include "ops/ops.h"

namespace omni::ops {

namespace {

Tensor padded(Exec& exec, const PadImageArgs& parts) {
  const Tensor& x = *parts.x;
  assert(x.dtype() == DType::kF32 && x.shape().rank() == 3 && x.contiguous());
  assert(exec.compute == DType::kF32 || exec.compute == DType::kBF16);
  const int64_t h = x.shape()[0], w = x.shape()[1];
  Tensor out = exec.scratch.tensor(exec.compute, Shape{h + 2, w + 2, padded_channels(x.shape()[2])});
  PadImageArgs args = parts;
  args.out = &out;
  dispatch(exec, cpu::pad_image, cuda::pad_image, args);
  return out;
}

}  // namespace

Tensor pad_image(Exec& exec, const Tensor& x) {
  return padded(exec, PadImageArgs{.x = &x});
}

Tensor group_norm(Exec& exec, const Tensor& x, int groups, const float* gain, const float* shift, float eps,
                  Silu silu) {
  assert(groups > 0 && x.cols() % groups == 0 && gain != nullptr && shift != nullptr);
  return padded(
      exec,
      PadImageArgs{.x = &x, .groups = groups, .gain = gain, .shift = shift, .eps = eps, .silu = silu == Silu::kYes});
}

Tensor conv(Exec& exec, const Tensor& padded_image, const Weight& weight, const float* bias, int kernel, int stride,
            int64_t c_out, const Tensor* residual) {
  const int64_t h = padded_image.shape()[0] - 2, w = padded_image.shape()[1] - 2;
  Tensor out = exec.scratch.tensor(DType::kF32, Shape{h / stride, w / stride, c_out});
  conv(exec, ConvArgs{.image = &padded_image,
                      .weight = &weight,
                      .bias = bias,
                      .kernel = kernel,
                      .stride = stride,
                      .residual = residual,
                      .out = &out});
  return out;
}

void conv(Exec& exec, const ConvArgs& args) {
  const Shape &image = args.image->shape(), &out = args.out->shape();
  assert(image.rank() == 3 && args.image->dtype() == exec.compute && args.image->contiguous());
  assert((args.kernel == 1 || args.kernel == 3) && (args.stride == 1 || args.stride == 2));
  assert(args.upsample == 1 || (args.upsample == 2 && args.kernel == 3 && args.stride == 1));
  assert(args.upsample == 2 ||
         (args.weight->rows == out[2] && args.weight->cols == args.kernel * args.kernel * image[2]));
  assert(args.out->dtype() == DType::kF32 && out.rank() == 3 && args.out->contiguous());
  assert(out[0] == (image[0] - 2) * args.upsample / args.stride);
  assert(out[1] == (image[1] - 2) * args.upsample / args.stride);
  assert(args.residual == nullptr || (args.residual->shape() == out && args.residual->dtype() == DType::kF32));
  dispatch(exec, cpu::conv, cuda::conv, args);
}

Weight pack_conv(Exec& exec, const Tensor& values) {
  assert(values.dtype() == DType::kF32 && values.shape().rank() == 4 && values.contiguous());
  return dispatch(exec, cpu::pack_conv, cuda::pack_conv, values);
}

Weight pack_upsample_conv(Exec& exec, const Tensor& values) {
  assert(values.dtype() == DType::kF32 && values.shape().rank() == 4 && values.contiguous());
  assert(values.shape()[2] == 3 && values.shape()[3] == 3);
  return dispatch(exec, cpu::pack_upsample_conv, cuda::pack_upsample_conv, values);
}

}  // namespace omni::ops
