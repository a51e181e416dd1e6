#pragma once
#include "kernels/ops.h"

namespace omni {

struct ConvShape {
  int64_t c_in = 0, c_out = 0;
  int kernel = 3, stride = 1;
  int upsample = 1;  // 2: each pixel is repeated 2 x 2 first (the weight is of pack_upsample_conv)
};

// A 3x3 or 1x1 convolution over a padded image (kernels/ops.h). Made by Scope; immutable.
class Conv {
 public:
  Conv() = default;
  Conv(Weight packed, Tensor bias, const ConvShape& shape);
  // padded: [h + 2, w + 2, padded channels] in Exec::compute dtype. Returns
  // [h * upsample / stride, w * upsample / stride, c_out] f32 in scratch.
  Tensor operator()(Exec& exec, const Tensor& padded) const;
  // The same into out, residual added; residual may be out itself.
  void into(Exec& exec, const Tensor& padded, const Tensor* residual, Tensor& out) const;
  Shape output_shape(int64_t h, int64_t w) const {
    return Shape{h * shape_.upsample / shape_.stride, w * shape_.upsample / shape_.stride, shape_.c_out};
  }
  int64_t c_out() const { return shape_.c_out; }

 private:
  Weight packed_;
  Tensor bias_;
  ConvShape shape_;
};

}  // namespace omni
