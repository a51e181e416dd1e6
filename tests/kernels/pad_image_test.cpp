#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops_support.h"
#include "kernels/reference/reference_ops.h"

namespace omni {
namespace {

using namespace omni::testing;

void check_pad(PadImageArgs args, DType dtype, const std::string& what) {
  CpuExec cpu;
  cpu.exec.compute = dtype;
  const Shape in = args.x->shape();
  const Shape shape{in[0] + 2, in[1] + 2, padded_channels(in[2])};
  Tensor got(dtype, shape), want(dtype, shape);
  std::memset(got.raw(), 0x7f, static_cast<size_t>(got.bytes()));  // so that a missed zero shows
  args.out = &got;
  cpu::pad_image(cpu.exec, args);
  args.out = &want;
  reference::pad_image(cpu.exec, args);
  const double step = dtype == DType::kBF16 ? 0x1p-7 : 0;
  expect_near(
      got, want, [&](double w, int64_t) { return (args.groups > 0 ? 1e-5 : 1e-30) + step * std::fabs(w); },
      what + " " + in.text());
}

TEST(PadImage, CopiesWithABorderOfZeros) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 3}, Shape{8, 8, 64}, Shape{9, 4, 66}}) {
      const Tensor x = random_tensor(shape, 1);
      check_pad(PadImageArgs{.x = &x}, dtype, "copy");
    }
  }
}

TEST(PadImage, GroupNormMatchesTheReference) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const bool silu : {false, true}) {
      for (const auto& [shape, groups] : {std::pair{Shape{8, 8, 64}, 32},
                                          {Shape{33, 17, 128}, 32},
                                          {Shape{5, 3, 6}, 3},
                                          {Shape{1, 1, 4}, 1},
                                          {Shape{3, 70, 44}, 4},
                                          {Shape{16, 16, 96}, 8}}) {
        const Tensor x = random_tensor(shape, 3, 2.0f), gain = random_tensor(Shape{shape[2]}, 4);
        const Tensor shift = random_tensor(Shape{shape[2]}, 5);
        check_pad(PadImageArgs{.x = &x, .groups = groups, .gain = gain.f32(), .shift = shift.f32(), .silu = silu},
                  dtype, "group norm");
      }
    }
  }
}

TEST(PadImage, GroupNormSurvivesALargeMean) {
  Tensor x = random_tensor(Shape{32, 32, 32}, 6);
  for (int64_t i = 0; i < x.shape().count(); ++i) x.f32()[i] += 1000.0f;
  const Tensor gain = random_tensor(Shape{32}, 7), shift = random_tensor(Shape{32}, 8);
  CpuExec cpu;
  Tensor got(DType::kF32, Shape{34, 34, 32}), want(DType::kF32, Shape{34, 34, 32});
  PadImageArgs args{.x = &x, .groups = 4, .gain = gain.f32(), .shift = shift.f32(), .out = &got};
  cpu::pad_image(cpu.exec, args);
  args.out = &want;
  reference::pad_image(cpu.exec, args);
  // The mean is rounded to f32 once: 1000 * 2^-24, times a gain of up to 4.
  expect_near(
      got, want, [](double, int64_t) { return 4 * 1000 * 0x1p-24 + 1e-5; }, "mean 1000");
}

TEST(PadImage, GroupNormIsTheSameForAnyNumberOfThreads) {
  const Tensor x = random_tensor(Shape{70, 40, 48}, 9), gain = random_tensor(Shape{48}, 10);
  Tensor first;
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    Exec exec;
    exec.pool = &pool;
    Tensor out(DType::kF32, Shape{72, 42, 48});
    cpu::pad_image(exec, {.x = &x, .groups = 16, .gain = gain.f32(), .shift = gain.f32(), .silu = true, .out = &out});
    if (first.empty()) first = out;
    EXPECT_EQ(std::memcmp(first.raw(), out.raw(), static_cast<size_t>(out.bytes())), 0) << threads << " threads";
  }
}

}  // namespace
}  // namespace omni
