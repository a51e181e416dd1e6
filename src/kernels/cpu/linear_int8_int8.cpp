#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/linear_run.h"

namespace omni::cpu {
namespace {

constexpr int64_t kMaxK = 65536;  // 255 * 128 * K stays below 2^31

// i8 weights times i8 activations, exact i32 sums; scales of both in the epilogue.
class Int8Kernel : public LinearKernel {
 public:
  Int8Kernel(std::string_view name, Need need, Layout layout, DType storage)
      : name_(name), need_(need), layout_(layout), storage_(storage) {}

  std::string_view name() const override { return name_; }

  Verdict supports(const LinearProblem& problem) const override {
    if (problem.device.kind != DeviceKind::kCpu) return {false, "runs on the CPU"};
    if (!is_int8_int8(problem.scheme))
      return {false, "only i8 weights with a scale a channel or tensor and i8 activations"};
    if (std::string why = why_not_available(need_); !why.empty()) return {false, why};
    if (problem.k >= kMaxK) return {false, "K = " + std::to_string(problem.k) + " could overflow 32-bit sums"};
    const int64_t step = layout_ == Layout::kPanelI8Quads ? 4 : 2;
    if (layout_ == Layout::kPanelI8Quads && problem.k % step != 0)
      return {true, "K = " + std::to_string(problem.k) + ": inputs are copied to rows padded to a multiple of 4"};
    return {true, {}};
  }

  Weight pack(Exec& exec, const Weight& canonical) const override { return pack_panels(exec.pool, canonical, layout_); }
  int64_t packed_bytes(const LinearProblem& problem) const override { return panel_bytes(problem, layout_); }

  ActFormat wants(const Weight& packed, DType) const override {
    ActFormat format{.quant = packed.scheme.act, .codes = DType::kI8, .storage = storage_};
    if (format.quant == ActQuant::kStatic) format.static_scale = packed.input_scale.f32()[0];
    return format;
  }

  void run(Exec& exec, const Weight& packed, const Activation& x, Tensor& y, const Epilogue& epilogue) const override {
    GemmTable table = layout_ == Layout::kPanelI8Quads ? *gemm_i8_avx512() : *gemm_i8_avx2();
    if (layout_ == Layout::kPanelI8Quads && features().bf16) table.finish = finish_i32_avx512bf16();
    run_linear(exec, table, packed, x, y, epilogue);
  }

 private:
  std::string_view name_;
  Need need_;
  Layout layout_;
  DType storage_;
};

}  // namespace

const LinearKernel& linear_int8_int8_avx512vnni() {
  static const Int8Kernel kernel("linear_int8_int8_avx512vnni", Need::kVnni, Layout::kPanelI8Quads, DType::kU8);
  return kernel;
}

const LinearKernel& linear_int8_int8_avx2() {
  static const Int8Kernel kernel("linear_int8_int8_avx2", Need::kAvx2, Layout::kPanelI8Pairs, DType::kI8);
  return kernel;
}

}  // namespace omni::cpu
