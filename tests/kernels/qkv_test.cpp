#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops_support.h"
#include "kernels/reference/reference_ops.h"

namespace omni {
namespace {

using namespace omni::testing;

struct Case {
  int64_t heads, head_dim, rows, tokens, offset;
  DType in, out;
  bool norm, rotate;
};

void fill(Tensor& x) {
  std::memset(x.raw(), 0, static_cast<size_t>(x.bytes()));
}

void check_qkv(const Case& c) {
  CpuExec cpu;
  const Tensor x = as(random_tensor(Shape{c.rows, 3 * c.heads * c.head_dim}, 1, 2.0f), c.in);
  const Tensor q_gain = random_tensor(Shape{c.head_dim}, 2), k_gain = random_tensor(Shape{c.head_dim}, 3);
  const Tensor cos = random_tensor(Shape{c.tokens, c.head_dim / 2}, 4),
               sin = random_tensor(Shape{c.tokens, c.head_dim / 2}, 5);
  std::vector<Tensor> got, want;
  for (int i = 0; i < 3; ++i) {
    got.emplace_back(c.out, Shape{c.heads, c.tokens, c.head_dim});
    want.emplace_back(c.out, Shape{c.heads, c.tokens, c.head_dim});
    fill(got.back());
    fill(want.back());
  }
  QkvArgs args{.x = &x,
               .q_gain = c.norm ? q_gain.f32() : nullptr,
               .k_gain = c.norm ? k_gain.f32() : nullptr,
               .cos = c.rotate ? cos.f32() : nullptr,
               .sin = c.rotate ? sin.f32() : nullptr,
               .heads = c.heads,
               .head_dim = c.head_dim,
               .token_offset = c.offset,
               .q = &got[0],
               .k = &got[1],
               .v = &got[2]};
  cpu::qkv(cpu.exec, args);
  args.q = &want[0];
  args.k = &want[1];
  args.v = &want[2];
  reference::qkv(cpu.exec, args);
  const double step = c.out == DType::kBF16 ? 0x1p-7 : 0;
  for (size_t i = 0; i < 3; ++i) {
    // Two products of values up to about 10, each rounded in f32.
    expect_near(
        got[i], want[i], [&](double w, int64_t) { return 1e-5 + step * std::fabs(w); },
        std::string(1, "qkv"[i]) + " heads " + std::to_string(c.heads) + " dim " + std::to_string(c.head_dim));
  }
}

TEST(Qkv, MatchesTheReference) {
  for (const DType in : {DType::kF32, DType::kBF16}) {
    for (const DType out : {DType::kF32, DType::kBF16}) {
      for (const int64_t d : {8, 24, 64, 128, 512}) {
        check_qkv({4, d, 33, 40, 7, in, out, true, true});
        check_qkv({1, d, 1, 1, 0, in, out, false, true});
        check_qkv({3, d, 288, 288, 0, in, out, true, false});
      }
    }
  }
}

TEST(Qkv, CopiesWhenThereIsNeitherNormNorRotation) {
  check_qkv({2, 40, 5, 5, 0, DType::kF32, DType::kF32, false, false});
}

TEST(Qkv, WritesOnlyItsOwnTokens) {
  CpuExec cpu;
  const Tensor x = random_tensor(Shape{2, 48}, 1);
  Tensor q(DType::kF32, Shape{2, 6, 8}), k(DType::kF32, Shape{2, 6, 8}), v(DType::kF32, Shape{2, 6, 8});
  for (Tensor* t : {&q, &k, &v}) std::fill_n(t->f32(), 96, 77.0f);
  cpu::qkv(cpu.exec, QkvArgs{.x = &x, .heads = 2, .head_dim = 8, .token_offset = 3, .q = &q, .k = &k, .v = &v});
  for (const Tensor* t : {&q, &k, &v}) {
    for (int64_t i = 0; i < 96; ++i) {
      const int64_t token = i / 8 % 6;
      EXPECT_EQ(t->f32()[i] == 77.0f, token < 3 || token > 4) << "element " << i;
    }
  }
}

}  // namespace
}  // namespace omni
