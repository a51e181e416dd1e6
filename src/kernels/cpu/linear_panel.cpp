#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_run.h"

namespace omni::cpu {
namespace {

// Every scheme as panels: floats ready to multiply, codes expanded block by block while multiplying. Quantized
// activations arrive as exact values of their codes, their scale is applied to the sums.
class PanelKernel : public LinearKernel {
 public:
  PanelKernel(std::string_view name, Need need) : name_(name), need_(need) {}

  std::string_view name() const override { return name_; }

  Verdict supports(const LinearProblem& problem) const override {
    if (problem.device.kind != DeviceKind::kCpu) return {false, "runs on the CPU"};
    const QuantScheme& scheme = problem.scheme;
    if (computes_bf16() && problem.compute != DType::kBF16) return {false, "computes in bf16, asked for f32"};
    if (std::string why = why_not_available(need_); !why.empty()) return {false, why};
    if (scheme.low_rank != 0) return {false, "no low-rank branch"};
    if (scheme.rotation != 0) return {false, "no rotation of inputs"};
    if (scheme.smooth) return {false, "no factors on inputs"};
    if (scheme.ordered) return {false, "no columns out of order"};
    if (is_int8_int8(scheme))
      return {false, "weights are int8 with int8 activations: left to the kernels with exact integer sums"};
    if (scheme.act == ActQuant::kPerGroup) return {false, "activation scales a group"};
    if (scheme.act != ActQuant::kNone && scheme.act_codes != DType::kI8 && scheme.act_codes != DType::kF8E4M3)
      return {false, "activations of " + std::string(dtype_name(scheme.act_codes))};
    if (scheme.quantized()) {
      if (std::string why = why_no_code_panels(scheme, problem.k); !why.empty()) return {false, why};
    }
    if (computes_bf16() && problem.k % 2 != 0)
      return {true, "K = " + std::to_string(problem.k) + " is odd: inputs are copied to padded rows"};
    return {true, {}};
  }

  Weight pack(Exec& exec, const Weight& canonical) const override {
    return pack_panels(exec.pool, canonical, layout(canonical.scheme));
  }
  int64_t packed_bytes(const LinearProblem& problem) const override {
    return panel_bytes(problem, layout(problem.scheme));
  }

  ActFormat wants(const Weight& packed, DType) const override {
    const QuantScheme& scheme = packed.scheme;
    ActFormat format{.quant = scheme.act, .codes = scheme.act_codes};
    format.storage = computes_bf16() ? DType::kBF16 : DType::kF32;
    if (format.quant == ActQuant::kStatic) format.static_scale = packed.input_scale.f32()[0];
    return format;
  }

  void run(Exec& exec, const Weight& packed, const Activation& x, Tensor& y, const Epilogue& epilogue) const override {
    run_linear(exec, table(), packed, x, y, epilogue);
  }

 private:
  bool computes_bf16() const { return need_ == Need::kBF16; }
  Layout layout(const QuantScheme& scheme) const {
    if (scheme.quantized()) return Layout::kPanelCodes;
    return computes_bf16() ? Layout::kPanelBF16 : Layout::kPanelF32;
  }
  const GemmTable& table() const {
    if (computes_bf16()) return *gemm_bf16_avx512();
    return need_ == Need::kAvx512 ? *gemm_f32_avx512() : *gemm_f32_avx2();
  }

  std::string_view name_;
  Need need_;
};

}  // namespace

const LinearKernel& linear_panel_bf16_avx512bf16() {
  static const PanelKernel kernel("linear_panel_bf16_avx512bf16", Need::kBF16);
  return kernel;
}

const LinearKernel& linear_panel_f32_avx512() {
  static const PanelKernel kernel("linear_panel_f32_avx512", Need::kAvx512);
  return kernel;
}

const LinearKernel& linear_panel_f32_avx2() {
  static const PanelKernel kernel("linear_panel_f32_avx2", Need::kAvx2);
  return kernel;
}

}  // namespace omni::cpu
