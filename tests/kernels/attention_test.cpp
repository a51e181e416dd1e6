#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops_support.h"
#include "kernels/reference/reference_ops.h"

namespace omni {
namespace {

using namespace omni::testing;

struct Case {
  int64_t heads, tokens, keys, d;
  DType dtype = DType::kF32;
  bool causal = false, bias = false;
  DType out = DType::kF32;
  std::string text() const {
    return "heads " + std::to_string(heads) + " tokens " + std::to_string(tokens) + " keys " + std::to_string(keys) +
           " d " + std::to_string(d) + " " + std::string(dtype_name(dtype)) + (causal ? " causal" : "") +
           (bias ? " bias" : "");
  }
};

Tensor magnitudes(const Tensor& x) {
  Tensor out = to_f32(x);
  for (int64_t i = 0; i < out.shape().count(); ++i) out.f32()[i] = std::fabs(out.f32()[i]);
  return out;
}

void check_attention(const Case& c) {
  CpuExec cpu;
  const Tensor q = as(random_tensor(Shape{c.heads, c.tokens, c.d}, 1), c.dtype);
  const Tensor k = as(random_tensor(Shape{c.heads, c.keys, c.d}, 2), c.dtype);
  const Tensor v = as(random_tensor(Shape{c.heads, c.keys, c.d}, 3), c.dtype);
  const Tensor bias = random_tensor(Shape{c.heads, c.tokens, c.keys}, 4);
  Tensor got_wide(c.out, Shape{c.tokens, c.heads * c.d + 5});
  Tensor got = got_wide.columns(3, c.heads * c.d);
  Tensor want(DType::kF32, Shape{c.tokens, c.heads * c.d});
  AttentionArgs args{.q = &q,
                     .k = &k,
                     .v = &v,
                     .scale = 1.5f / std::sqrt(static_cast<float>(c.d)),
                     .bias = c.bias ? bias.f32() : nullptr,
                     .causal = c.causal,
                     .out = &got};
  cpu::attention(cpu.exec, args);
  args.out = &want;
  reference::attention(cpu.exec, args);
  // The error of a weighted mean is bounded by the weights' relative error times the same mean of |v|: 2^-8 where
  // weights are rounded to bf16, else that of the scores (f32 sums of d products) and of exp2.
  const Tensor q32 = to_f32(q), k32 = to_f32(k), size = magnitudes(v);
  Tensor spread(DType::kF32, want.shape());
  AttentionArgs bound = args;
  bound.q = &q32;
  bound.k = &k32;
  bound.v = &size;
  bound.out = &spread;
  reference::attention(cpu.exec, bound);
  const double weights = c.dtype == DType::kBF16 ? 0x1p-8 + 1e-4 : 1e-5;
  const double rounding = c.out == DType::kBF16 ? 0x1p-8 : 0;
  expect_near(
      got, want, [&](double w, int64_t i) { return weights * spread.f32()[i] + rounding * std::fabs(w) + 1e-7; },
      c.text());
}

TEST(Attention, MatchesTheReferenceForOddSizes) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t tokens : {1, 33, 288}) {
      for (const int64_t d : {8, 40, 64, 128}) check_attention({4, tokens, tokens, d, dtype});
    }
    check_attention({1, 7, 65, 512, dtype});
    check_attention({1, 70, 256, 512, dtype});
    check_attention({2, 49, 257, 24, dtype});
  }
}

TEST(Attention, TakesAnyNumberOfKeys) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t keys : {1, 2, 15, 16, 17, 63, 64, 65, 511, 513, 1000}) {
      check_attention({2, 9, keys, 64, dtype});
    }
  }
}

TEST(Attention, CausalQueriesSeeNoLaterKey) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    check_attention({2, 77, 77, 64, dtype, true});
    check_attention({1, 300, 300, 64, dtype, true});
    check_attention({1, 5, 33, 16, dtype, true});
    check_attention({1, 1, 400, 16, dtype, true});
    check_attention({2, 130, 600, 16, dtype, true, true});
  }
}

TEST(Attention, AddsTheBias) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    check_attention({4, 33, 33, 64, dtype, false, true});
    check_attention({2, 50, 300, 32, dtype, false, true});
  }
}

TEST(Attention, RoundsItsOutputToBf16) {
  check_attention({4, 60, 60, 40, DType::kBF16, false, false, DType::kBF16});
  check_attention({4, 60, 60, 40, DType::kF32, false, false, DType::kBF16});
}

TEST(Attention, ABiasOfMinusInfinityHidesKeysEvenAWholeBlockOfThem) {
  CpuExec cpu;
  constexpr int64_t kKeys = 600, kD = 16, kTokens = 3;
  const Tensor q = random_tensor(Shape{1, kTokens, kD}, 1), k = random_tensor(Shape{1, kKeys, kD}, 2);
  const Tensor v = random_tensor(Shape{1, kKeys, kD}, 3);
  Tensor bias(DType::kF32, Shape{1, kTokens, kKeys});
  for (int64_t i = 0; i < kTokens * kKeys; ++i) bias.f32()[i] = i % kKeys < 590 ? -HUGE_VALF : 0.0f;
  Tensor got(DType::kF32, Shape{kTokens, kD}), want(DType::kF32, Shape{kTokens, kD});
  AttentionArgs args{.q = &q, .k = &k, .v = &v, .scale = 0.25f, .bias = bias.f32(), .out = &got};
  cpu::attention(cpu.exec, args);
  args.out = &want;
  reference::attention(cpu.exec, args);
  expect_near(
      got, want, [](double, int64_t) { return 1e-5; }, "590 hidden keys");
}

TEST(Attention, LargeScoresDoNotOverflow) {
  CpuExec cpu;
  const Tensor q = random_tensor(Shape{1, 20, 64}, 1, 30.0f), k = random_tensor(Shape{1, 300, 64}, 2, 30.0f);
  const Tensor v = random_tensor(Shape{1, 300, 64}, 3);
  Tensor got(DType::kF32, Shape{20, 64}), want(DType::kF32, Shape{20, 64});
  AttentionArgs args{.q = &q, .k = &k, .v = &v, .scale = 1, .out = &got};
  cpu::attention(cpu.exec, args);
  args.out = &want;
  reference::attention(cpu.exec, args);
  // Scores of up to 30000, known in f32 to 30000 * 2^-21: weights to about 2 percent.
  expect_near(
      got, want, [](double, int64_t) { return 0.05; }, "scores of thousands");
}

}  // namespace
}  // namespace omni
