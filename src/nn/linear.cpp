#include "nn/linear.h"

#include <cassert>
#include <utility>

#include "ops/ops.h"

namespace omni {

Linear::Linear(Tensor bias, DType compute, int64_t in) : bias_(std::move(bias)), compute_(compute), in_(in) {}

void Linear::add(const LinearKernel* kernel, Weight packed, int64_t out) {
  const ActFormat wants = kernel->wants(packed, compute_);
  // Matrices that want different inputs get floats, and quantize on their own.
  wants_ = matrices_.empty() || wants == wants_ ? wants : ActFormat{.storage = compute_};
  matrices_.push_back({kernel, std::move(packed), out_, out, wants});
  out_ += out;
}

Tensor Linear::operator()(Exec& exec, const Activation& x, DType dtype, Epilogue epilogue) const {
  Tensor y = exec.scratch.tensor(dtype, Shape{x.values.rows(), out_});
  into(exec, x, y, epilogue);
  return y;
}

void Linear::into(Exec& exec, const Activation& x, Tensor& y, Epilogue epilogue) const {
  assert(!matrices_.empty() && x.values.cols() == in_ && x.format == wants_);
  assert(y.rows() == x.values.rows() && y.cols() == out_);
  epilogue.bias = bias_.empty() ? nullptr : bias_.f32();
  if (matrices_.size() == 1) return matrices_[0].kernel->run(exec, matrices_[0].packed, x, y, epilogue);
  for (const Matrix& matrix : matrices_) run(exec, matrix, x, y, epilogue);
}

void Linear::run(Exec& exec, const Matrix& matrix, const Activation& x, Tensor& y, Epilogue epilogue) const {
  const Scratch::Mark mark(exec.scratch);
  Tensor part = y.columns(matrix.begin, matrix.out);
  Tensor residual;
  if (epilogue.bias != nullptr) epilogue.bias += matrix.begin;
  if (epilogue.gate != nullptr) epilogue.gate += matrix.begin;
  if (epilogue.residual != nullptr) {
    residual = epilogue.residual->columns(matrix.begin, matrix.out);
    epilogue.residual = &residual;
  }
  if (matrix.wants == x.format) return matrix.kernel->run(exec, matrix.packed, x, part, epilogue);
  matrix.kernel->run(exec, matrix.packed, ops::to(exec, x.values, matrix.wants), part, epilogue);
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
