#pragma once
#include "kernels/ops.h"

namespace omni {

// A 3x3 or 1x1 convolution over a padded image (kernels/ops.h). Made by Scope; immutable.
class Conv {
 public:
  Conv() = default;
  Conv(Weight packed, Tensor bias, int kernel, int stride, int64_t c_out);
  // padded: [h + 2, w + 2, padded channels] in Exec::compute dtype. Returns
  // [h', w', c_out] f32 in scratch.
  Tensor operator()(Exec& exec, const Tensor& padded) const;
  // The same into out, residual added; residual may be out itself.
  void into(Exec& exec, const Tensor& padded, const Tensor* residual, Tensor& out) const;
  int stride() const { return stride_; }
  int64_t c_out() const { return c_out_; }

 private:
  Weight packed_;
  Tensor bias_;
  int kernel_ = 3, stride_ = 1;
  int64_t c_out_ = 0;
};

}  // namespace omni
