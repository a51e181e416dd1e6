#include "ops/moe.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/support.h"

namespace omni {
namespace {

struct Cpu {
  Cpu() { exec.pool = &pool; }
  ThreadPool pool{1};
  Exec exec;
};

TEST(Route, SendsEveryTokenToItsLargestExperts) {
  Cpu cpu;
  Tensor logits(DType::kF32, Shape{3, 4});
  const float values[] = {0, 1, 2, 3, 5, 5, 0, 5, -1, -2, -3, -4};
  std::copy(std::begin(values), std::end(values), logits.f32());
  const ops::Routes routes = ops::route(cpu.exec, logits, 2, ops::TopWeights::kSumToOne);
  const std::vector<std::vector<int32_t>> want = {{1, 2}, {1, 2}, {0}, {0}};  // of equal logits the first two
  for (int64_t expert = 0; expert < 4; ++expert) {
    const ops::Route route = routes.of(expert);
    EXPECT_EQ(std::vector<int32_t>(route.tokens.begin(), route.tokens.end()), want[static_cast<size_t>(expert)])
        << "expert " << expert;
  }
  EXPECT_NEAR(routes.of(3).weights[0], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(routes.of(0).weights[0], 0.5, 1e-6);
}

TEST(Route, WeightsAreThoseOfTheWholeSoftmaxWhenNotNormalised) {
  Cpu cpu;
  Tensor logits(DType::kF32, Shape{1, 3});
  for (int i = 0; i < 3; ++i) logits.f32()[i] = static_cast<float>(i);
  const ops::Routes routes = ops::route(cpu.exec, logits, 1, ops::TopWeights::kAsTheyAre);
  EXPECT_NEAR(routes.of(2).weights[0], 1 / (1 + std::exp(-1.0) + std::exp(-2.0)), 1e-6);
}

TEST(Route, GatheredRowsComeBackWeighted) {
  Cpu cpu;
  const Tensor x = testing::random_tensor(Shape{4, 8}, 1);
  const int32_t tokens[] = {1, 3};
  const float weights[] = {0.5f, 2.0f};
  const Tensor rows = ops::gather_rows(cpu.exec, x, tokens);
  Tensor y(DType::kF32, Shape{4, 8});
  std::fill_n(y.f32(), 32, 1.0f);
  ops::scatter_add(cpu.exec, rows, ops::Route{tokens, weights}, y);
  for (int64_t i = 0; i < 32; ++i) {
    const float want = i / 8 == 1 ? 1 + 0.5f * x.f32()[i] : i / 8 == 3 ? 1 + 2 * x.f32()[i] : 1;
    EXPECT_EQ(y.f32()[i], want) << "element " << i;
  }
}

}  // namespace
}  // namespace omni
