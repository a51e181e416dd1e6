#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops_support.h"
#include "kernels/reference/reference_ops.h"

namespace omni {
namespace {

using namespace omni::testing;

Tensor filled(DType dtype, Shape shape) {
  Tensor out(dtype, shape);
  std::memset(out.raw(), 0x3f, static_cast<size_t>(out.bytes()));
  return out;
}

TEST(SplitHeads, MatchesTheReferenceAndLeavesOtherRowsAlone) {
  CpuExec cpu;
  for (const DType in : {DType::kF32, DType::kBF16}) {
    for (const DType out : {DType::kF32, DType::kBF16}) {
      for (const int64_t d : {8, 24, 64, 80, 128, 512}) {
        for (const bool whole : {true, false}) {
          const int64_t heads = 3, rows = 5, capacity = 11;
          const Tensor wide = as(random_tensor(Shape{rows, heads * d + 16}, 1, 2.0f), in);
          const Tensor x = wide.columns(8, heads * d);
          const Tensor gain = random_tensor(Shape{d}, 2);
          const Tensor cos = random_tensor(Shape{rows, d / 2}, 3), sin = random_tensor(Shape{rows, d / 2}, 4);
          Tensor got = filled(out, Shape{heads, capacity, d}), want = filled(out, Shape{heads, capacity, d});
          SplitHeadsArgs args{.x = &x,
                              .gain = whole ? gain.f32() : nullptr,
                              .cos = whole ? cos.f32() : nullptr,
                              .sin = whole ? sin.f32() : nullptr,
                              .offset = 4,
                              .out = &got};
          cpu::split_heads(cpu.exec, args);
          args.out = &want;
          reference::split_heads(cpu.exec, args);
          const double step = out == DType::kBF16 ? 0x1p-7 : 0;
          expect_near(
              got, want, [&](double w, int64_t) { return 1e-5 + step * std::fabs(w); },
              "head of " + std::to_string(d) + (whole ? ", normed and rotated" : ", copied"));
        }
      }
    }
  }
}

TEST(CausalAttention, MatchesTheReferenceForEveryGroupingOfHeads) {
  CpuExec cpu;
  const struct {
    int64_t heads, kv_heads, d, m, keys, capacity;
  } cases[] = {{4, 2, 32, 7, 7, 16}, {8, 1, 64, 1, 300, 300}, {2, 2, 128, 33, 129, 140},
               {3, 3, 8, 1, 1, 1},   {6, 2, 80, 5, 260, 512}, {1, 1, 512, 2, 128, 128}};
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const auto& c : cases) {
      const Tensor q = as(random_tensor(Shape{c.heads, c.m, c.d}, 1), dtype);
      const Tensor k = as(random_tensor(Shape{c.kv_heads, c.capacity, c.d}, 2), dtype);
      const Tensor v = as(random_tensor(Shape{c.kv_heads, c.capacity, c.d}, 3), dtype);
      Tensor got(DType::kF32, Shape{c.m, c.heads * c.d}), want(DType::kF32, Shape{c.m, c.heads * c.d});
      CausalAttentionArgs args{.q = &q, .k = &k, .v = &v, .keys = c.keys, .scale = 0.2f, .out = &got};
      cpu::causal_attention(cpu.exec, args);
      args.out = &want;
      reference::causal_attention(cpu.exec, args);
      // A score is a sum of d products, its exponential and the mean are exact to some f32 steps.
      expect_near(
          got, want, [&](double, int64_t) { return 2e-5; },
          std::to_string(c.heads) + " heads over " + std::to_string(c.kv_heads) + " of " + std::to_string(c.d) + ", " +
              std::to_string(c.keys) + " keys");
    }
  }
}

}  // namespace
}  // namespace omni
