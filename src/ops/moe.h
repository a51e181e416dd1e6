#pragma once
#include <cstdint>
#include <span>

#include "tensor/exec.h"

// Sending tokens to experts and back. All tensors f32; outputs live in exec.scratch.
namespace omni::ops {

// Tokens that chose one expert, ascending, with the weight each gives it.
struct Route {
  std::span<const int32_t> tokens;
  std::span<const float> weights;
};

struct Routes {
  Tensor begin;    // [experts + 1] i32: where each expert's tokens begin
  Tensor tokens;   // [m * chosen] i32, expert after expert
  Tensor weights;  // [m * chosen] f32
  Route of(int64_t expert) const;
};

enum class TopWeights : uint8_t { kAsTheyAre, kSumToOne };

// Every row of logits [m, experts] picks the `chosen` largest of its softmax; of equal ones the first.
Routes route(Exec& exec, const Tensor& logits, int64_t chosen, TopWeights weights);

// Rows `rows` of x [m, d].
Tensor gather_rows(Exec& exec, const Tensor& x, std::span<const int32_t> rows);

// y[route.tokens[i]] += route.weights[i] * x[i]
void scatter_add(Exec& exec, const Tensor& x, const Route& route, Tensor& y);

}  // namespace omni::ops
