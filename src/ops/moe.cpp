#include "ops/moe.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace omni::ops {
namespace {

// The `chosen` largest of logits[0, experts): indices and softmax weights.
void pick(const float* logits, int64_t experts, int64_t chosen, TopWeights how, int32_t* ids, float* weights) {
  for (int64_t slot = 0; slot < chosen; ++slot) {
    int64_t best = -1;
    for (int64_t i = 0; i < experts; ++i) {
      const bool taken = std::find(ids, ids + slot, static_cast<int32_t>(i)) != ids + slot;
      if (!taken && (best < 0 || logits[i] > logits[best])) best = i;
    }
    ids[slot] = static_cast<int32_t>(best);
  }
  const float largest = logits[ids[0]];
  float all = 0, mine = 0;
  for (int64_t i = 0; i < experts; ++i) all += std::exp(logits[i] - largest);
  for (int64_t slot = 0; slot < chosen; ++slot) {
    weights[slot] = std::exp(logits[ids[slot]] - largest);
    mine += weights[slot];
  }
  const float sum = how == TopWeights::kSumToOne ? mine : all;
  for (int64_t slot = 0; slot < chosen; ++slot) weights[slot] /= sum;
}

}  // namespace

Route Routes::of(int64_t expert) const {
  const auto* at = begin.data<int32_t>() + expert;
  const auto first = static_cast<size_t>(at[0]), count = static_cast<size_t>(at[1] - at[0]);
  return {{tokens.data<int32_t>() + first, count}, {weights.f32() + first, count}};
}

Routes route(Exec& exec, const Tensor& logits, int64_t chosen, TopWeights how) {
  const int64_t m = logits.rows(), experts = logits.cols();
  assert(exec.device.kind == DeviceKind::kCpu && logits.dtype() == DType::kF32 && chosen > 0 && chosen <= experts);
  Routes out{exec.scratch.tensor(DType::kI32, Shape{experts + 1}), exec.scratch.tensor(DType::kI32, Shape{m * chosen}),
             exec.scratch.tensor(DType::kF32, Shape{m * chosen})};
  const Scratch::Mark mark(exec.scratch);
  const Tensor ids = exec.scratch.tensor(DType::kI32, Shape{m, chosen});
  const Tensor weights = exec.scratch.tensor(DType::kF32, Shape{m, chosen});
  const Tensor next = exec.scratch.tensor(DType::kI32, Shape{experts});
  auto *begin = out.begin.data<int32_t>(), *to = next.data<int32_t>();
  std::fill_n(begin, experts + 1, 0);
  for (int64_t row = 0; row < m; ++row) {
    int32_t* mine = ids.data<int32_t>() + row * chosen;
    pick(logits.f32() + row * logits.row_stride(), experts, chosen, how, mine, weights.f32() + row * chosen);
    for (int64_t slot = 0; slot < chosen; ++slot) begin[mine[slot] + 1] += 1;
  }
  for (int64_t i = 0; i < experts; ++i) begin[i + 1] += begin[i];
  std::copy_n(begin, experts, to);
  for (int64_t i = 0; i < m * chosen; ++i) {
    const int32_t at = to[ids.data<int32_t>()[i]]++;
    out.tokens.data<int32_t>()[at] = static_cast<int32_t>(i / chosen);
    out.weights.f32()[at] = weights.f32()[i];
  }
  return out;
}

Tensor gather_rows(Exec& exec, const Tensor& x, std::span<const int32_t> rows) {
  assert(exec.device.kind == DeviceKind::kCpu && x.dtype() == DType::kF32);
  Tensor out = exec.scratch.tensor(DType::kF32, Shape{static_cast<int64_t>(rows.size()), x.cols()});
  for (size_t i = 0; i < rows.size(); ++i) {
    assert(rows[i] >= 0 && rows[i] < x.rows());
    std::copy_n(x.f32() + rows[i] * x.row_stride(), x.cols(), out.f32() + static_cast<int64_t>(i) * out.cols());
  }
  return out;
}

void scatter_add(Exec& exec, const Tensor& x, const Route& route, Tensor& y) {
  assert(exec.device.kind == DeviceKind::kCpu && x.dtype() == DType::kF32 && y.dtype() == DType::kF32);
  assert(x.rows() == static_cast<int64_t>(route.tokens.size()) && x.cols() == y.cols());
  (void)exec;
  for (size_t i = 0; i < route.tokens.size(); ++i) {
    const float* from = x.f32() + static_cast<int64_t>(i) * x.row_stride();
    float* to = y.f32() + route.tokens[i] * y.row_stride();
    for (int64_t col = 0; col < x.cols(); ++col) to[col] += route.weights[i] * from[col];
  }
}

}  // namespace omni::ops
