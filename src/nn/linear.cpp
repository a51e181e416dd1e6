#include "nn/linear.h"

#include <cassert>
#include <utility>

#include "ops/ops.h"

namespace omni {

Linear::Linear(const LinearKernel* kernel, Weight packed, Tensor bias, DType compute, int64_t in, int64_t out)
    : kernel_(kernel),
      packed_(std::move(packed)),
      bias_(std::move(bias)),
      wants_(kernel->wants(packed_, compute)),
      in_(in),
      out_(out) {}

Tensor Linear::operator()(Exec& exec, const Activation& x, DType dtype, Epilogue epilogue) const {
  Tensor y = exec.scratch.tensor(dtype, Shape{x.values.rows(), out_});
  into(exec, x, y, epilogue);
  return y;
}

void Linear::into(Exec& exec, const Activation& x, Tensor& y, Epilogue epilogue) const {
  assert(kernel_ != nullptr && x.values.cols() == in_ && x.format == wants_);
  assert(y.rows() == x.values.rows() && y.cols() == out_);
  epilogue.bias = bias_.empty() ? nullptr : bias_.f32();
  kernel_->run(exec, packed_, x, y, epilogue);
}

Activation Linear::then(Exec& exec, const Activation& x, Act act, const ActFormat& wants) const {
  if (wants.quant == ActQuant::kNone) return float_activation((*this)(exec, x, wants.storage, Epilogue{.act = act}));
  return ops::activation(exec, (*this)(exec, x, exec.compute), act, wants);
}

void Linear::add_to(Exec& exec, const Activation& x, const float* gate, Tensor& y) const {
  assert(y.dtype() == DType::kF32);
  into(exec, x, y, Epilogue{.gate = gate, .residual = &y});
}

}  // namespace omni
