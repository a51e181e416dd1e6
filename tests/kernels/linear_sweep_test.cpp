#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "kernels/cpu/isa.h"
#include "kernels/linear.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {

static void PrintTo(const LinearKernel* kernel, std::ostream* out) {
  *out << kernel->name();
}

namespace {

using testing::random_tensor;

// A weight to sweep: a preset, or a float dtype.
struct Subject {
  std::string name;
  QuantScheme scheme;
  DType weight_float = DType::kNone;
};

std::vector<Subject> subjects() {
  std::vector<Subject> out;
  for (const Preset& preset : presets()) out.push_back({std::string(preset.name), preset.scheme, DType::kNone});
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    out.push_back({std::string(dtype_name(dtype)), {}, dtype});
  // What checkpoints hold beyond the presets.
  const Group channel{1, 0}, tensor{0, 0};
  QuantScheme scheme{.codes = DType::kF8E4M3, .scale = {DType::kF32, {128, 128}}};
  out.push_back({"fp8 in blocks of 128 x 128", scheme});
  scheme = {.codes = DType::kI4, .scale = {DType::kBF16, channel}};
  out.push_back({"int4 a channel, bf16 scales", scheme});
  scheme = {.codes = DType::kI4, .scale = {DType::kF32, {1, 32}}, .act = ActQuant::kPerToken, .act_codes = DType::kI8};
  out.push_back({"int4 with int8 inputs", scheme});
  scheme = {.codes = DType::kI8, .scale = {DType::kF32, tensor}, .act = ActQuant::kPerTensor, .act_codes = DType::kI8};
  out.push_back({"int8 a tensor", scheme});
  scheme = {.codes = DType::kU4, .scale = {DType::kF32, channel}, .zero = Zero::kPoint};
  out.push_back({"uint4 a channel with zero points", scheme});
  return out;
}

int64_t smallest_k(const QuantScheme& scheme) {
  return std::max({2, scheme.scale.group.cols, scheme.outer_scale.group.cols});
}

std::vector<int64_t> depths(const Subject& subject) {
  const int64_t smallest = smallest_k(subject.scheme);
  std::set<int64_t> out = {smallest, 256, 1280};
  if (!subject.scheme.quantized()) out.insert({1, 77, 519});
  if (subject.scheme.act != ActQuant::kNone && subject.scheme.scale.group.cols == 0) out.insert({6, 77});
  return {out.begin(), out.end()};
}

// Largest relative rounding of one weight on its way to the multiplication.
double weight_rounding(const Subject& subject, const LinearKernel& kernel) {
  const double none = std::ldexp(1.0, -22);  // products of scales in f32
  if (kernel.is_reference() || kernel.name().find("bf16") == std::string_view::npos) return none;
  if (!subject.scheme.quantized()) return subject.weight_float == DType::kBF16 ? none : std::ldexp(1.0, -9);
  const bool whole = subject.scheme.scale.group.cols == 0 && subject.scheme.zero == Zero::kNone;
  return whole ? none : std::ldexp(1.0, -9);  // codes alone are exact in bf16
}

struct Worst {
  double share = 0;  // of the tolerance
  std::string where;
};

struct Cell {
  const Subject& subject;
  const LinearKernel& kernel;
  DType compute;
  int64_t m, n, k;
  std::string text() const {
    return std::string(kernel.name()) + " " + subject.name + " " + std::string(dtype_name(compute)) +
           " M=" + std::to_string(m) + " N=" + std::to_string(n) + " K=" + std::to_string(k);
  }
};

// Rows of a result that are compared: all of few, else the first and last tiles and a spread.
std::vector<int64_t> checked_rows(int64_t m) {
  std::set<int64_t> rows;
  for (int64_t row = 0; row < std::min<int64_t>(m, 13); ++row) rows.insert(row);
  for (int64_t row = 13; row < m; row += 37) rows.insert(row);
  rows.insert(m - 1);
  return {rows.begin(), rows.end()};
}

// y against double sums of exactly decoded weights and inputs. Roundings are independent, so an error of 6 times the
// root of their squares means a defect; a value left out or counted twice is larger than that.
void compare_cell(const Cell& cell, const Tensor& inputs, const Tensor& weights, const Tensor& y, Worst& worst) {
  const double rounding = weight_rounding(cell.subject, cell.kernel);
  const double sums = 8 * std::ldexp(1.0, -24) * std::sqrt(static_cast<double>(cell.k));
  for (const int64_t row : checked_rows(cell.m)) {
    const float* x = inputs.f32() + row * cell.k;
    for (int64_t col = 0; col < cell.n; ++col) {
      const float* w = weights.f32() + col * cell.k;
      double want = 0, squares = 0, largest = 0, x_squares = 0;
      for (int64_t i = 0; i < cell.k; ++i) {
        const double product = static_cast<double>(x[i]) * w[i];
        want += product;
        squares += product * product;
        largest = std::max(largest, std::fabs(static_cast<double>(w[i])));
        x_squares += static_cast<double>(x[i]) * x[i];
      }
      const double tolerance = (6 * rounding + sums) * std::sqrt(squares) +
                               std::ldexp(1.0, -20) * largest * std::sqrt(x_squares) +
                               std::ldexp(1.0, -22) * std::fabs(want) + 1e-30;
      const double got = y.f32()[row * cell.n + col];
      double share = std::fabs(got - want) / tolerance;
      if (std::isnan(share)) share = HUGE_VAL;
      if (share > worst.share || worst.where.empty()) {
        worst.share = share;
        worst.where = cell.text() + " at (" + std::to_string(row) + ", " + std::to_string(col) + "): got " +
                      std::to_string(got) + ", want " + std::to_string(want) + ", " + std::to_string(share) +
                      " of the tolerance";
      }
    }
  }
}

class LinearSweep : public ::testing::TestWithParam<const LinearKernel*> {
 protected:
  LinearSweep() { exec_.pool = &pool_; }

  void sweep(const Subject& subject, const Weight& canonical, const Tensor& decoded, DType compute, Worst& worst) {
    const LinearKernel& kernel = *GetParam();
    const LinearProblem problem{subject.scheme, subject.weight_float, canonical.rows, canonical.cols, compute,
                                Device{}};
    const Verdict verdict = kernel.supports(problem);
    if (!verdict.ok) {
      EXPECT_FALSE(verdict.why.empty()) << kernel.name() << " declines " << subject.name << " without a reason";
      return;
    }
    exec_.compute = compute;
    const Weight packed = kernel.pack(exec_, canonical);
    EXPECT_EQ(packed.bytes(), kernel.packed_bytes(problem)) << kernel.name() << " " << subject.name;
    for (const int64_t m : {1, 3, 13, 32, 288}) {
      if (kernel.is_reference() && m * canonical.rows * canonical.cols > 2'000'000) continue;
      const Cell cell{subject, kernel, compute, m, canonical.rows, canonical.cols};
      const Tensor x = random_tensor(Shape{m, canonical.cols}, static_cast<uint32_t>(m));
      const Activation input = quantize_activation(x, kernel.wants(packed, compute));
      Tensor y(DType::kF32, Shape{m, canonical.rows});
      kernel.run(exec_, packed, input, y, {});
      compare_cell(cell, dequantize_activation(input), decoded, y, worst);
      ++cells_;
    }
  }

  ThreadPool pool_;
  Exec exec_;
  int cells_ = 0;
};

TEST_P(LinearSweep, AgreesWithTheCodecWithinTheRoundingOfItsFormat) {
  Worst worst;
  for (const Subject& subject : subjects()) {
    Worst of_subject;
    for (const int64_t k : depths(subject)) {
      for (const int64_t n : {1, 33, 64, 257}) {
        const Tensor values = random_tensor(Shape{n, k}, static_cast<uint32_t>(n * 7919 + k), 0.05f);
        const Weight canonical = subject.scheme.quantized() ? encode(values, subject.scheme, subject.name, &pool_)
                                                            : float_weight(cast(values, subject.weight_float));
        const Tensor decoded = decode(canonical);
        for (const DType compute : {DType::kBF16, DType::kF32}) sweep(subject, canonical, decoded, compute, of_subject);
      }
    }
    EXPECT_LE(of_subject.share, 1.0) << of_subject.where;
    if (of_subject.share > worst.share) worst = of_subject;
  }
  if (cells_ == 0) GTEST_SKIP() << GetParam()->name() << " supports nothing at this level";
  std::cout << cells_ << " cells; worst: " << worst.where << "\n";
}

TEST_P(LinearSweep, StaticInputScalesComeFromTheWeight) {
  Subject subject{"int8 static", find_preset("int8")->scheme, DType::kNone};
  Weight canonical = encode(random_tensor(Shape{40, 256}, 3, 0.05f), subject.scheme, subject.name, &pool_);
  subject.scheme.act = canonical.scheme.act = ActQuant::kStatic;
  const LinearProblem problem{subject.scheme, DType::kNone, 40, 256, DType::kBF16, Device{}};
  const LinearKernel& kernel = *GetParam();
  if (!kernel.supports(problem).ok) GTEST_SKIP();
  canonical.input_scale = Tensor(DType::kF32, Shape{1});
  canonical.input_scale.f32()[0] = 0.03f;
  const Weight packed = kernel.pack(exec_, canonical);
  EXPECT_EQ(kernel.wants(packed, DType::kBF16).static_scale, 0.03f);
  Worst worst;
  sweep(subject, canonical, decode(canonical), DType::kBF16, worst);
  EXPECT_LE(worst.share, 1.0) << worst.where;
  if (kernel.is_reference()) return;
  canonical.input_scale = {};
  EXPECT_THROW(kernel.pack(exec_, canonical), Error);
}

INSTANTIATE_TEST_SUITE_P(Kernels, LinearSweep, ::testing::ValuesIn(linear_kernels().begin(), linear_kernels().end()),
                         [](const auto& info) { return std::string(info.param->name()); });

TEST(LinearSweepCoverage, EveryPresetHasAFastKernelWithAvx512) {
  std::string missing;
  for (const Subject& subject : subjects()) {
    for (const DType compute : {DType::kBF16, DType::kF32}) {
      const int64_t k = 4 * smallest_k(subject.scheme);
      const KernelChoice choice =
          choose_linear_kernel({subject.scheme, subject.weight_float, 64, k, compute, Device{}}, subject.name);
      if (!choice.kernel->is_reference()) continue;
      missing += subject.name + " (" + std::string(dtype_name(compute)) + "):";
      for (const std::string& refusal : choice.refusals) missing += "\n    " + refusal;
      missing += "\n";
    }
  }
  if (cpu::features().isa < cpu::Isa::kAvx2) {
    EXPECT_FALSE(missing.empty()) << "scalar level has no fast linear kernels";
    return;
  }
  EXPECT_TRUE(missing.empty()) << "only the reference multiplies:\n" << missing;
}

}  // namespace
}  // namespace omni
