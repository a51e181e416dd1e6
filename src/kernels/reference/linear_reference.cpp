#include "kernels/reference/linear_reference.h"

#include <cassert>
#include <cmath>

#include "quant/codec.h"
#include "tensor/float_bits.h"

namespace omni::reference {
namespace {

double activate(Act act, double x) {
  switch (act) {
    case Act::kNone:
      return x;
    case Act::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Act::kGeluErf:
      return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
    case Act::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
    case Act::kSilu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

double input_at(const Activation& x, const std::byte* row, int64_t i) {
  switch (x.format.storage) {
    case DType::kF32:
      return reinterpret_cast<const float*>(row)[i];
    case DType::kBF16:
      return bf16_to_f32(reinterpret_cast<const uint16_t*>(row)[i]);
    case DType::kI8:
      return reinterpret_cast<const int8_t*>(row)[i];
    case DType::kU8:
      return reinterpret_cast<const uint8_t*>(row)[i] - 128;
    case DType::kF8E4M3:
      return f8e4m3_to_f32(reinterpret_cast<const uint8_t*>(row)[i]);
    case DType::kNone:
    case DType::kF16:
    case DType::kF8E5M2:
    case DType::kF8E8M0:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI32:
    case DType::kI64:
    case DType::kI4:
    case DType::kU4:
    case DType::kI5:
    case DType::kU5:
    case DType::kI6:
    case DType::kBool:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      break;
  }
  assert(false && "not a storage of activations");
  return 0;
}

double row_scale(const Activation& x, int64_t row) {
  if (x.format.quant == ActQuant::kNone) return 1;
  if (x.scales.empty()) return x.format.static_scale;
  return x.scales.f32()[x.format.quant == ActQuant::kPerToken ? row : 0];
}

struct Job {
  const Activation& x;
  Tensor& y;
  const Epilogue& epilogue;
};

void store(const Job& job, int64_t row, int64_t col, double value) {
  const Epilogue& e = job.epilogue;
  if (e.bias != nullptr) value += e.bias[col];
  value = activate(e.act, value);
  if (e.gate != nullptr) value *= e.gate[col];
  if (e.residual != nullptr) value += e.residual->f32()[row * e.residual->row_stride() + col];
  const int64_t at = row * job.y.row_stride() + col;
  if (job.y.dtype() == DType::kBF16)
    job.y.data<uint16_t>()[at] = f32_to_bf16(static_cast<float>(value));
  else
    job.y.f32()[at] = static_cast<float>(value);
}

class ReferenceKernel : public LinearKernel {
 public:
  std::string_view name() const override { return "linear_reference"; }
  bool is_reference() const override { return true; }

  Verdict supports(const LinearProblem& problem) const override {
    if (problem.device.kind != DeviceKind::kCpu) return {false, "runs on the CPU"};
    if (problem.scheme.low_rank != 0) return {false, "no low-rank branch"};
    if (problem.scheme.rotation != 0) return {false, "no rotation of inputs"};
    if (problem.scheme.smooth) return {false, "no factors on inputs"};
    if (problem.scheme.ordered) return {false, "no columns out of order"};
    if (problem.scheme.act == ActQuant::kPerGroup) return {false, "activation scales a group"};
    return {true, {}};
  }

  Weight pack(Exec&, const Weight& canonical) const override { return canonical; }

  int64_t packed_bytes(const LinearProblem& problem) const override {
    const QuantScheme& scheme = problem.scheme;
    const int64_t n = problem.n, k = problem.k;
    if (!scheme.quantized()) return storage_bytes(problem.weight_float, n * k);
    const auto part = [&](DType dtype, const Group& group) {
      const int64_t rows = group.rows == 0 ? 1 : (n + group.rows - 1) / group.rows;
      const int64_t cols = group.cols == 0 ? 1 : (k + group.cols - 1) / group.cols;
      return storage_bytes(dtype, rows * cols);
    };
    const int times = scheme.zero == Zero::kMinimum ? 2 : 1;  // minimums look like scales
    int64_t bytes = storage_bytes(scheme.codes, n * k) + times * part(scheme.scale.dtype, scheme.scale.group);
    if (scheme.outer_scale.dtype != DType::kNone)
      bytes += times * part(scheme.outer_scale.dtype, scheme.outer_scale.group);
    if (scheme.zero == Zero::kPoint) bytes += part(DType::kF32, scheme.scale.group);
    return bytes + (scheme.act == ActQuant::kStatic ? 4 : 0);
  }

  ActFormat wants(const Weight& packed, DType compute) const override {
    const QuantScheme& scheme = packed.scheme;
    if (scheme.act == ActQuant::kNone) return {.storage = compute == DType::kBF16 ? DType::kBF16 : DType::kF32};
    ActFormat format{.quant = scheme.act, .codes = scheme.act_codes, .storage = scheme.act_codes};
    if (format.quant == ActQuant::kStatic) format.static_scale = packed.input_scale.f32()[0];
    return format;
  }

  void run(Exec& exec, const Weight& packed, const Activation& x, Tensor& y, const Epilogue& epilogue) const override {
    const Scratch::Mark mark(exec.scratch);
    const int64_t k = packed.cols;
    const Tensor weights = exec.scratch.tensor(DType::kF32, Shape{exec.threads(), k});
    const Job job{x, y, epilogue};
    exec.pool->parallel_for(packed.rows, [&](int64_t col, int thread) {
      const std::span<float> w(weights.f32() + thread * k, static_cast<size_t>(k));
      decode_row(packed, col, w);
      for (int64_t row = 0; row < x.values.rows(); ++row) {
        const std::byte* input = x.values.raw() + storage_bytes(x.format.storage, row * x.values.row_stride());
        double sum = 0;
        for (int64_t i = 0; i < k; ++i) sum += input_at(x, input, i) * w[static_cast<size_t>(i)];
        store(job, row, col, sum * row_scale(x, row));
      }
    });
  }
};

}  // namespace

const LinearKernel& linear_reference() {
  static const ReferenceKernel kernel;
  return kernel;
}

}  // namespace omni::reference
