#include <cmath>
#include <vector>

#include "kernels/reference/produce_rows.h"
#include "kernels/reference/reference_ops.h"

namespace omni::reference {

namespace {

// One head of one token: x columns [column, column + head_dim) of row `row`, normed and rotated, in place in head.
void norm_and_rotate(const QkvArgs& args, const float* gain, int64_t row, std::vector<double>& head) {
  const int64_t d = args.head_dim;
  if (gain != nullptr) {
    double square = 0;
    for (const double value : head) square += value * value;
    const double inverse = 1 / std::sqrt(square / static_cast<double>(d) + args.eps);
    for (int64_t i = 0; i < d; ++i) head[static_cast<size_t>(i)] *= inverse * gain[i];
  }
  if (args.cos == nullptr) return;
  const int64_t at = (args.token_offset + row) * (d / 2);
  for (int64_t i = 0; i < d / 2; ++i) {
    double &even = head[static_cast<size_t>(2 * i)], &odd = head[static_cast<size_t>(2 * i + 1)];
    const double c = args.cos[at + i], s = args.sin[at + i], x0 = even, x1 = odd;
    even = x0 * c - x1 * s;
    odd = x0 * s + x1 * c;
  }
}

}  // namespace

void qkv(Exec&, const QkvArgs& args) {
  const int64_t d = args.head_dim;
  std::vector<double> values(static_cast<size_t>(d));
  for (int64_t part = 0; part < 3; ++part) {
    Tensor* out = part == 0 ? args.q : part == 1 ? args.k : args.v;
    if (out == nullptr) continue;
    for (int64_t head = 0; head < args.heads; ++head) {
      for (int64_t row = 0; row < args.x->rows(); ++row) {
        const int64_t column = (part * args.heads + head) * d;
        for (int64_t i = 0; i < d; ++i) values[static_cast<size_t>(i)] = value_at(*args.x, row, column + i);
        if (part < 2) norm_and_rotate(args, part == 0 ? args.q_gain : args.k_gain, row, values);
        const int64_t to = head * out->shape()[1] + args.token_offset + row;
        for (int64_t i = 0; i < d; ++i) set_value(*out, to, i, values[static_cast<size_t>(i)]);
      }
    }
  }
}

}  // namespace omni::reference
