#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "quant/codec.h"
#include "support/support.h"
#include "tensor/exec.h"

namespace omni::testing {

// An Exec with its own pool of three threads: more than some jobs have rows.
struct CpuExec {
  CpuExec() { exec.pool = &pool; }
  ThreadPool pool{3};
  Exec exec;
};

inline Tensor as(const Tensor& x, DType dtype) {
  return dtype == DType::kF32 ? x : cast(x, dtype);
}

// Fails with the worst element where |got - want| > allowed(want, element).
inline void expect_near(const Tensor& got_any, const Tensor& want_any,
                        const std::function<double(double want, int64_t at)>& allowed, const std::string& what) {
  const Tensor got = to_f32(got_any), want = to_f32(want_any);
  ASSERT_EQ(got.shape().count(), want.shape().count()) << what;
  double worst = 0;
  int64_t at = 0;
  for (int64_t i = 0; i < want.shape().count(); ++i) {
    double over = std::fabs(static_cast<double>(got.f32()[i]) - want.f32()[i]) / allowed(want.f32()[i], i);
    if (std::isnan(over)) over = HUGE_VAL;
    if (over > worst) {
      worst = over;
      at = i;
    }
  }
  EXPECT_LE(worst, 1.0) << what << ": worst element at row " << at / want.cols() << ", col " << at % want.cols()
                        << ": got " << got.f32()[at] << ", want " << want.f32()[at];
}

inline std::vector<ActFormat> all_formats() {
  std::vector<ActFormat> out = {{.storage = DType::kF32}, {.storage = DType::kBF16}};
  for (const ActQuant quant : {ActQuant::kStatic, ActQuant::kPerTensor, ActQuant::kPerToken}) {
    for (const DType storage : {DType::kI8, DType::kU8, DType::kBF16, DType::kF32})
      out.push_back({quant, DType::kI8, storage, quant == ActQuant::kStatic ? 0.02f : 0.0f});
    for (const DType storage : {DType::kF8E4M3, DType::kBF16, DType::kF32})
      out.push_back({quant, DType::kF8E4M3, storage, quant == ActQuant::kStatic ? 0.004f : 0.0f});
  }
  return out;
}

inline std::string format_text(const ActFormat& f) {
  return "quant " + std::to_string(static_cast<int>(f.quant)) + " codes " + std::string(dtype_name(f.codes)) +
         " stored as " + std::string(dtype_name(f.storage));
}

inline Activation empty_activation(int64_t rows, int64_t cols, const ActFormat& format) {
  Activation out{format, Tensor(format.storage, Shape{rows, cols}), {}};
  const int64_t scales = format.quant == ActQuant::kPerToken ? rows : 1;
  if (format.quant != ActQuant::kNone) out.scales = Tensor(DType::kF32, Shape{scales});
  return out;
}

// A producer computes in f32: values near a rounding boundary may fall to the other side, all others must agree.
// tolerance: of the f32 values before rounding, relative to the largest of the row.
inline void expect_same_activation(const Activation& got, const Activation& want, double tolerance,
                                   const std::string& what) {
  const Tensor wanted = dequantize_activation(want);
  const int64_t cols = wanted.cols();
  std::vector<double> largest(static_cast<size_t>(wanted.rows()), 1e-30);
  for (int64_t i = 0; i < wanted.shape().count(); ++i) {
    double& most = largest[static_cast<size_t>(i / cols)];
    most = std::max(most, std::fabs(static_cast<double>(wanted.f32()[i])));
  }
  const auto error = [&](int64_t i) { return tolerance * largest[static_cast<size_t>(i / cols)] + 1e-30; };
  const Tensor given = dequantize_activation(got);
  if (want.format.quant == ActQuant::kNone) {
    const double step = want.format.storage == DType::kBF16 ? 0x1p-7 : 0;  // one bf16 step
    expect_near(
        given, wanted, [&](double w, int64_t i) { return error(i) + step * std::fabs(w); }, what);
    return;
  }
  expect_near(
      got.scales, want.scales, [&](double w, int64_t) { return tolerance * w; }, what + ", scales");
  const auto scale = [&](int64_t i) {
    return static_cast<double>(want.scales.f32()[want.format.quant == ActQuant::kPerToken ? i / cols : 0]);
  };
  const auto one_step = [&](double w, int64_t i) {
    const double step = want.format.codes == DType::kI8 ? scale(i) : std::max(std::fabs(w) * 0x1p-3, scale(i) * 0x1p-9);
    return step * 1.001 + error(i);
  };
  expect_near(given, wanted, one_step, what + ", values within one code");
  int64_t moved = 0;
  for (int64_t i = 0; i < wanted.shape().count(); ++i) {
    const double difference = std::fabs(static_cast<double>(given.f32()[i]) - wanted.f32()[i]);
    moved += difference > 0.5 * std::max(std::fabs(wanted.f32()[i]) * 0x1p-4, scale(i) * 0x1p-9) ? 1 : 0;
  }
  EXPECT_LE(moved, 1 + wanted.shape().count() / 500) << what << ": codes that differ";
}

}  // namespace omni::testing
