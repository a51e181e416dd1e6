#include <gtest/gtest.h>

#include <cstring>

#include "kernels/linear.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {

static void PrintTo(const LinearKernel* kernel, std::ostream* out) {
  *out << kernel->name();
}

namespace {

using testing::compare;
using testing::random_tensor;

constexpr int64_t kRows = 29, kDepth = 64;

// Everything a linear may be asked to do to its sums, drawn from one number.
struct Options {
  bool bias, gate, residual, alias, strided, bf16;
  Act act;
  static Options of(int bits) {
    return {(bits & 1) != 0,
            (bits & 2) != 0,
            (bits & 4) != 0,
            (bits & 8) != 0,
            (bits & 16) != 0,
            (bits & 32) != 0,
            static_cast<Act>(bits >> 6)};
  }
  static constexpr int kCount = 5 << 6;
  bool possible() const { return !alias || (residual && !bf16); }
  std::string text() const {
    return std::string(bias ? "bias " : "") + (gate ? "gate " : "") + (residual ? "residual " : "") +
           (alias ? "aliased " : "") + (strided ? "strided " : "") + (bf16 ? "bf16 " : "f32 ") + "act " +
           std::to_string(static_cast<int>(act));
  }
};

class LinearEpilogue : public ::testing::TestWithParam<const LinearKernel*> {
 protected:
  LinearEpilogue() { exec_.pool = &pool_; }

  // Runs kernel on the values of x with options; the output starts as residual values, everything beside it as 77.
  Tensor run(const LinearKernel& kernel, const Weight& canonical, const Tensor& x, const Options& o) {
    const Weight packed = kernel.pack(exec_, canonical);
    const Activation input = quantize_activation(x, kernel.wants(packed, DType::kBF16));
    const int64_t n = canonical.rows;
    whole_ = random_tensor(Shape{kRows, n + (o.strided ? 11 : 0)}, 5);
    if (o.bf16) whole_ = cast(whole_, DType::kBF16);
    Tensor y = o.strided ? whole_.columns(4, n) : whole_;
    const Tensor bias = random_tensor(Shape{n}, 6), gate = random_tensor(Shape{n}, 7);
    const Tensor residual = o.alias ? y : random_tensor(Shape{kRows, n}, 8);
    const Epilogue epilogue{.bias = o.bias ? bias.f32() : nullptr,
                            .act = o.act,
                            .gate = o.gate ? gate.f32() : nullptr,
                            .residual = o.residual ? &residual : nullptr};
    kernel.run(exec_, packed, input, y, epilogue);
    return to_f32(whole_);
  }

  void check(const Weight& canonical, const LinearKernel& reference) {
    const LinearKernel& kernel = *GetParam();
    Tensor x = random_tensor(Shape{kRows, kDepth}, 3, 2.0f);
    x = to_f32(cast(x, DType::kBF16));
    for (int bits = 0; bits < Options::kCount; ++bits) {
      const Options o = Options::of(bits);
      if (!o.possible()) continue;
      const auto difference = compare(run(kernel, canonical, x, o), run(reference, canonical, x, o));
      // A bf16 output may round the other way: half a unit of the largest value, 2^-8 of the range at most.
      const double tolerance = o.bf16 ? 4.1e-3 : 2e-6;
      EXPECT_LE(difference.over_range, tolerance)
          << kernel.name() << " N=" << canonical.rows << " " << o.text() << ": " << difference.text();
    }
  }

  ThreadPool pool_;
  Exec exec_;
  Tensor whole_;
};

TEST_P(LinearEpilogue, AppliesScalesBiasActivationGateAndResidualInThisOrder) {
  const LinearKernel& kernel = *GetParam();
  const LinearKernel& reference = *linear_kernels().back();
  bool ran = false;
  for (const char* name : {"", "int8", "fp8_per_tensor"}) {
    const QuantScheme scheme = *name == '\0' ? QuantScheme{} : find_preset(name)->scheme;
    for (const int64_t n : {32, 45}) {
      const DType dtype = scheme.quantized() ? DType::kNone : DType::kBF16;
      if (!kernel.supports({scheme, dtype, n, kDepth, DType::kBF16, Device{}}).ok) continue;
      const Tensor values = random_tensor(Shape{n, kDepth}, 9, 0.2f);
      check(scheme.quantized() ? encode(values, scheme, name, &pool_) : float_weight(cast(values, DType::kBF16)),
            reference);
      ran = true;
    }
  }
  if (!ran) GTEST_SKIP() << kernel.name() << " supports nothing at this level";
}

TEST_P(LinearEpilogue, LargeInputsOfActivationsStayFinite) {
  const LinearKernel& kernel = *GetParam();
  if (!kernel.supports({{}, DType::kF32, 32, 2, DType::kF32, Device{}}).ok) GTEST_SKIP();
  Tensor values(DType::kF32, Shape{32, 2});
  for (int i = 0; i < 64; ++i) values.f32()[i] = i % 2 == 0 ? 1.0f : 0.0f;
  const Weight packed = kernel.pack(exec_, float_weight(values));
  const float inputs[6] = {-1e4f, -100.0f, -30.0f, 30.0f, 100.0f, 1e4f};
  Tensor x(DType::kF32, Shape{6, 2});
  for (int i = 0; i < 6; ++i) {
    x.f32()[2 * i] = inputs[i];
    x.f32()[2 * i + 1] = 0;
  }
  for (const Act act : {Act::kGeluTanh, Act::kGeluErf, Act::kQuickGelu, Act::kSilu}) {
    Tensor y(DType::kF32, Shape{6, 32});
    kernel.run(exec_, packed, float_activation(x), y, {.act = act});
    for (int i = 0; i < 6; ++i)
      EXPECT_NEAR(y.f32()[32 * i], inputs[i] > 0 ? inputs[i] : 0, 1e-5) << "act " << static_cast<int>(act);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, LinearEpilogue, ::testing::ValuesIn(linear_kernels().begin(), linear_kernels().end()),
                         [](const auto& info) { return std::string(info.param->name()); });

}  // namespace
}  // namespace omni
