#include <cassert>

#include "ops/dispatch.h"
#include "ops/ops.h"

namespace omni::ops {

namespace {

bool is_format(const ActFormat& f) {
  switch (f.quant) {
    case ActQuant::kNone:
      return f.storage == DType::kF32 || f.storage == DType::kBF16;
    case ActQuant::kStatic:
      if (!(f.static_scale > 0)) return false;
      [[fallthrough]];
    case ActQuant::kPerTensor:
    case ActQuant::kPerToken:
      break;
    case ActQuant::kPerGroup:
      return false;
  }
  const bool wide = f.storage == DType::kF32 || f.storage == DType::kBF16;
  if (f.codes == DType::kI8) return wide || f.storage == DType::kI8 || f.storage == DType::kU8;
  return f.codes == DType::kF8E4M3 && (wide || f.storage == DType::kF8E4M3);
}

Activation produce(Exec& exec, const ProduceArgs& parts, int64_t rows, int64_t cols, const ActFormat& wants) {
  Activation out = empty_activation(exec, rows, cols, wants);
  ProduceArgs args = parts;
  args.out = &out;
  dispatch(exec, cpu::produce, cuda::produce, args);
  return out;
}

Activation norm(Exec& exec, const NormArgs& parts, const ActFormat& wants) {
  assert(parts.x->dtype() == DType::kF32 && parts.x->cols() > 0);
  Activation out = empty_activation(exec, parts.x->rows(), parts.x->cols(), wants);
  NormArgs args = parts;
  args.out = &out;
  dispatch(exec, cpu::norm, cuda::norm, args);
  return out;
}

}  // namespace

Activation empty_activation(Exec& exec, int64_t rows, int64_t cols, const ActFormat& format) {
  assert(is_format(format));
  Activation out{format, exec.scratch.tensor(format.storage, Shape{rows, cols}), {}};
  if (format.quant != ActQuant::kNone) {
    const int64_t count = format.quant == ActQuant::kPerToken ? rows : 1;
    out.scales = exec.scratch.tensor(DType::kF32, Shape{count});
  }
  return out;
}

Activation layer_norm(Exec& exec, const Tensor& x, const float* gain, const float* shift, float eps,
                      const ActFormat& wants) {
  return norm(exec, NormArgs{.x = &x, .gain = gain, .shift = shift, .eps = eps}, wants);
}

Activation modulate(Exec& exec, const Tensor& x, const float* scale, const float* shift, float eps,
                    const ActFormat& wants) {
  assert(scale != nullptr && shift != nullptr);
  return norm(exec, NormArgs{.x = &x, .gain = scale, .shift = shift, .gain_plus_one = true, .eps = eps}, wants);
}

Activation rms_norm(Exec& exec, const Tensor& x, const float* gain, float eps, const ActFormat& wants) {
  return norm(exec, NormArgs{.x = &x, .gain = gain, .subtract_mean = false, .eps = eps}, wants);
}

Activation to(Exec& exec, const Tensor& x, const ActFormat& wants) {
  if (wants.quant == ActQuant::kNone && x.dtype() == wants.storage && x.contiguous()) {
    return Activation{wants, x, {}};
  }
  return activation(exec, x, Act::kNone, wants);
}

Activation activation(Exec& exec, const Tensor& x, Act act, const ActFormat& wants) {
  assert(is_float_operand(x));
  return produce(exec, ProduceArgs{.b = &x, .act = act}, x.rows(), x.cols(), wants);
}

Activation gated(Exec& exec, const Tensor& gate, const Tensor& up, Act act, const ActFormat& wants) {
  assert(is_float_operand(gate) && is_float_operand(up));
  assert(gate.rows() == up.rows() && gate.cols() == up.cols());
  return produce(exec, ProduceArgs{.b = &gate, .c = &up, .act = act}, gate.rows(), gate.cols(), wants);
}

Activation concat(Exec& exec, const Tensor& plain, const Tensor& activated, Act act, const ActFormat& wants) {
  assert(is_float_operand(plain) && is_float_operand(activated) && plain.rows() == activated.rows());
  const int64_t cols = plain.cols() + activated.cols();
  return produce(exec, ProduceArgs{.a = &plain, .b = &activated, .act = act}, plain.rows(), cols, wants);
}

}  // namespace omni::ops
