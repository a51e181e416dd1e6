#pragma once
#include <vector>

#include "kernels/linear.h"

namespace omni {

// y = act(x W^T + bias) with W in whatever format the plan chose: one matrix, or several side by side when the parts of
// a merged linear are stored differently. Exists only with its weights in place (or, while a model is only planned, as
// a description that must not be called). Immutable; made by Scope.
class Linear {
 public:
  Linear() = default;
  // bias: [out] f32 or empty. Complete once its matrices are added.
  Linear(Tensor bias, DType compute, int64_t in);
  // The next out outputs.
  void add(const LinearKernel* kernel, Weight packed, int64_t out);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  // The form in which the producer of the input should write it.
  ActFormat wants() const { return wants_; }

  // x: [m, in] in wants(). Returns a new scratch tensor [m, out] of dtype (f32 or bf16). epilogue.bias is this layer's
  // own.
  Tensor operator()(Exec& exec, const Activation& x, DType dtype, Epilogue epilogue = {}) const;
  // The same into y: [m, out], rows may be strided.
  void into(Exec& exec, const Activation& x, Tensor& y, Epilogue epilogue = {}) const;
  // act(this(x)) as the next layer wants it: in the epilogue where that eats floats, else by the quantizing producer.
  Activation then(Exec& exec, const Activation& x, Act act, const ActFormat& wants) const;
  // y += gate * (x W^T + bias): the end of a residual branch. gate: [out] or null; y: [m, out] f32.
  void add_to(Exec& exec, const Activation& x, const float* gate, Tensor& y) const;

 private:
  struct Matrix {
    const LinearKernel* kernel = nullptr;
    Weight packed;
    int64_t begin = 0, out = 0;  // its columns of y
    ActFormat wants;
  };
  void run(Exec& exec, const Matrix& matrix, const Activation& x, Tensor& y, Epilogue epilogue) const;

  std::vector<Matrix> matrices_;
  Tensor bias_;
  DType compute_ = DType::kBF16;
  ActFormat wants_;
  int64_t in_ = 0, out_ = 0;
};

}  // namespace omni
