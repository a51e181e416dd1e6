#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops_support.h"
#include "kernels/reference/reference_ops.h"

namespace omni {
namespace {

using namespace omni::testing;

void check_norm(NormArgs args, const ActFormat& format, const std::string& what) {
  CpuExec cpu;
  Activation got = empty_activation(args.x->rows(), args.x->cols(), format);
  Activation want = empty_activation(args.x->rows(), args.x->cols(), format);
  args.out = &got;
  cpu::norm(cpu.exec, args);
  args.out = &want;
  reference::norm(cpu.exec, args);
  // f32 sums of d terms in at least 4 lanes, a square root and three products: some 2^-24 each.
  expect_same_activation(got, want, 3e-6, what);
}

TEST(Norm, LayerNormMatchesTheReferenceForOddSizesAndEveryFormat) {
  for (const int64_t rows : {1, 3, 288}) {
    for (const int64_t d : {7, 64, 256, 1280}) {
      const Tensor x = random_tensor(Shape{rows, d}, static_cast<uint32_t>(rows * d), 3.0f);
      const Tensor gain = random_tensor(Shape{d}, 2), shift = random_tensor(Shape{d}, 3);
      for (const ActFormat& format : all_formats()) {
        check_norm(NormArgs{.x = &x, .gain = gain.f32(), .shift = shift.f32(), .eps = 1e-5f}, format,
                   x.shape().text() + " " + format_text(format));
      }
    }
  }
}

TEST(Norm, AdaLayerNormAddsOneToTheGain) {
  const Tensor x = random_tensor(Shape{33, 72}, 1), gain = random_tensor(Shape{72}, 2),
               shift = random_tensor(Shape{72}, 3);
  for (const ActFormat& format : all_formats()) {
    check_norm(NormArgs{.x = &x, .gain = gain.f32(), .shift = shift.f32(), .gain_plus_one = true}, format,
               format_text(format));
  }
}

TEST(Norm, RmsNormKeepsTheMean) {
  const Tensor x = random_tensor(Shape{5, 200}, 4), gain = random_tensor(Shape{200}, 5);
  check_norm(NormArgs{.x = &x, .gain = gain.f32(), .subtract_mean = false}, ActFormat{}, "gain");
  check_norm(NormArgs{.x = &x, .subtract_mean = false}, ActFormat{}, "no gain");
}

TEST(Norm, ALargeMeanDoesNotCancelTheVariance) {
  Tensor x = random_tensor(Shape{4, 512}, 6);
  for (int64_t i = 0; i < x.shape().count(); ++i) x.f32()[i] += 100.0f;
  CpuExec cpu;
  Activation got = empty_activation(4, 512, ActFormat{}), want = got;
  want.values = Tensor(DType::kF32, Shape{4, 512});
  NormArgs args{.x = &x, .out = &got};
  cpu::norm(cpu.exec, args);
  args.out = &want;
  reference::norm(cpu.exec, args);
  // The f32 mean is off by up to 100 * 2^-23: the same amount, over a deviation of 1, in every value.
  expect_near(
      got.values, want.values, [](double, int64_t) { return 100 * 0x1p-22; }, "mean 100");
}

TEST(Norm, ZeroRowsHaveScaleOneAndZeroCodes) {
  Tensor x(DType::kF32, Shape{2, 9});
  std::fill_n(x.f32(), 18, 0.0f);
  CpuExec cpu;
  Activation out = empty_activation(2, 9, {ActQuant::kPerToken, DType::kI8, DType::kU8});
  cpu::norm(cpu.exec, NormArgs{.x = &x, .out = &out});
  EXPECT_EQ(out.scales.f32()[1], 1.0f);
  for (int64_t i = 0; i < 18; ++i) EXPECT_EQ(out.values.data<uint8_t>()[i], 128) << i;
}

TEST(Norm, ReadsRowsOfAWiderMatrix) {
  const Tensor wide = random_tensor(Shape{6, 50}, 8);
  const Tensor x = wide.columns(11, 30);
  check_norm(NormArgs{.x = &x}, ActFormat{}, "columns 11 to 40 of 50");
}

}  // namespace
}  // namespace omni
