#include <bit>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops_support.h"
#include "kernels/reference/reference_ops.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using namespace omni::testing;

void check_produce(ProduceArgs args, int64_t cols, const ActFormat& format, const std::string& what) {
  CpuExec cpu;
  const int64_t rows = args.b != nullptr ? args.b->rows() : args.a->rows();
  Activation got = empty_activation(rows, cols, format), want = empty_activation(rows, cols, format);
  args.out = &got;
  cpu::produce(cpu.exec, args);
  args.out = &want;
  reference::produce(cpu.exec, args);
  expect_same_activation(got, want, 2e-6, what);  // a function accurate to 1e-6 and a product
}

constexpr Act kActs[] = {Act::kNone, Act::kGeluTanh, Act::kGeluErf, Act::kQuickGelu, Act::kSilu};

TEST(Produce, EveryFormatMatchesTheCodec) {
  for (const int64_t rows : {1, 3, 288}) {
    for (const int64_t d : {7, 64, 1280}) {
      const Tensor wide = random_tensor(Shape{rows, d}, static_cast<uint32_t>(rows + d), 2.0f);
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        const Tensor x = as(wide, dtype);
        for (const ActFormat& format : all_formats()) {
          check_produce(ProduceArgs{.b = &x}, d, format,
                        x.shape().text() + " " + std::string(dtype_name(dtype)) + " " + format_text(format));
        }
      }
    }
  }
}

TEST(Produce, ACastAndAQuantizationWithoutAnActivationAreExact) {
  const Tensor x = random_tensor(Shape{17, 331}, 5);
  for (const ActFormat& format : all_formats()) {
    CpuExec cpu;
    Activation got = empty_activation(17, 331, format);
    cpu::produce(cpu.exec, ProduceArgs{.b = &x, .out = &got});
    const Activation want = quantize_activation(x, format);
    const Difference d = compare(dequantize_activation(got), dequantize_activation(want));
    EXPECT_EQ(d.over_range, 0) << format_text(format) << ": " << d.text();
  }
}

TEST(Produce, EveryActivationIsAccurateFromTailToTail) {
  Tensor x(DType::kF32, Shape{1, 4001});
  for (int64_t i = 0; i < 4001; ++i) x.f32()[i] = static_cast<float>(i - 2000) * 0.01f;
  for (const Act act : kActs) {
    CpuExec cpu;
    Activation got = empty_activation(1, 4001, ActFormat{}), want = empty_activation(1, 4001, ActFormat{});
    cpu::produce(cpu.exec, ProduceArgs{.b = &x, .act = act, .out = &got});
    reference::produce(cpu.exec, ProduceArgs{.b = &x, .act = act, .out = &want});
    // In the tail e^-t is as exact as its argument: t 2^-23, t up to 87; below e^-87 only the size matters.
    const auto allowed = [&](double w, int64_t i) {
      const double t =
          std::min(87.0, std::fabs(x.f32()[i]) * (1 + std::fabs(x.f32()[i]) * std::fabs(x.f32()[i]) * 0.1));
      return std::fabs(w) * (2e-6 + t * 0x1p-22) + 1e-35;
    };
    expect_near(got.values, want.values, allowed, "act " + std::to_string(static_cast<int>(act)));
  }
}

TEST(Produce, GatedMultipliesWithTheActivatedGate) {
  const Tensor both = random_tensor(Shape{33, 146}, 6, 2.0f);
  const Tensor gate = both.columns(0, 73), up = both.columns(73, 73);
  for (const Act act : kActs) {
    for (const ActFormat& format : all_formats())
      check_produce(ProduceArgs{.b = &gate, .c = &up, .act = act}, 73, format, format_text(format));
  }
}

TEST(Produce, ConcatActivatesTheRightPartOnly) {
  const Tensor left = cast(random_tensor(Shape{12, 40}, 7), DType::kBF16), right = random_tensor(Shape{12, 31}, 8);
  for (const ActFormat& format : all_formats())
    check_produce(ProduceArgs{.a = &left, .b = &right, .act = Act::kGeluTanh}, 71, format, format_text(format));
}

TEST(Produce, StaticScalesSaturate) {
  Tensor x(DType::kF32, Shape{1, 4});
  const float values[] = {1e6f, -1e6f, 0.5f, -1.5f};
  std::copy_n(values, 4, x.f32());
  CpuExec cpu;
  Activation i8 = empty_activation(1, 4, {ActQuant::kStatic, DType::kI8, DType::kI8, 1.0f});
  cpu::produce(cpu.exec, ProduceArgs{.b = &x, .out = &i8});
  const int wanted[] = {127, -127, 0, -2};  // half to even
  for (int i = 0; i < 4; ++i) EXPECT_EQ(i8.values.data<int8_t>()[i], wanted[i]) << i;
  Activation f8 = empty_activation(1, 4, {ActQuant::kStatic, DType::kF8E4M3, DType::kF8E4M3, 1.0f});
  cpu::produce(cpu.exec, ProduceArgs{.b = &x, .out = &f8});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(f8.values.data<uint8_t>()[i], f32_to_f8e4m3(values[i])) << i;
}

TEST(Produce, Float8RoundsLikeTheScalarConversionOverItsWholeRange) {
  constexpr int64_t kCount = 1 << 16;  // every f32 whose low 16 bits are zero or one half of the dropped part
  for (const uint32_t low : {0u, 0x8000u}) {
    Tensor x(DType::kF32, Shape{1, kCount});
    for (int64_t i = 0; i < kCount; ++i) {
      const float value = std::bit_cast<float>((static_cast<uint32_t>(i) << 16) | low);
      x.f32()[i] = std::isfinite(value) ? value : 0;
    }
    CpuExec cpu;
    Activation out = empty_activation(1, kCount, {ActQuant::kStatic, DType::kF8E4M3, DType::kF8E4M3, 1.0f});
    cpu::produce(cpu.exec, ProduceArgs{.b = &x, .out = &out});
    int64_t wrong = 0, first = -1;
    for (int64_t i = 0; i < kCount; ++i) {
      if (out.values.data<uint8_t>()[i] == f32_to_f8e4m3(x.f32()[i])) continue;
      if (first < 0) first = i;
      ++wrong;
    }
    EXPECT_EQ(wrong, 0) << "first: " << (first < 0 ? 0 : x.f32()[first]) << " became "
                        << (first < 0 ? 0 : out.values.data<uint8_t>()[first]);
  }
}

}  // namespace
}  // namespace omni
