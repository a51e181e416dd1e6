#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/produce_rows.h"
#include "kernels/reference/reference_ops.h"

namespace omni::reference {

void split_heads(Exec&, const SplitHeadsArgs& args) {
  const int64_t heads = args.out->shape()[0], capacity = args.out->shape()[1], d = args.out->shape()[2];
  std::vector<double> head(static_cast<size_t>(d));
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t row = 0; row < args.x->rows(); ++row) {
      double square = 0;
      for (int64_t i = 0; i < d; ++i) {
        head[static_cast<size_t>(i)] = value_at(*args.x, row, h * d + i);
        square += head[static_cast<size_t>(i)] * head[static_cast<size_t>(i)];
      }
      if (args.gain != nullptr) {
        const double inverse = 1 / std::sqrt(square / static_cast<double>(d) + args.eps);
        for (int64_t i = 0; i < d; ++i) head[static_cast<size_t>(i)] *= inverse * args.gain[i];
      }
      for (int64_t i = 0; args.cos != nullptr && i < d / 2; ++i) {
        double &first = head[static_cast<size_t>(i)], &second = head[static_cast<size_t>(i + d / 2)];
        const double c = args.cos[row * (d / 2) + i], s = args.sin[row * (d / 2) + i], x0 = first, x1 = second;
        first = x0 * c - x1 * s;
        second = x1 * c + x0 * s;
      }
      for (int64_t i = 0; i < d; ++i) {
        set_value(*args.out, h * capacity + args.offset + row, i, head[static_cast<size_t>(i)]);
      }
    }
  }
}

void causal_attention(Exec&, const CausalAttentionArgs& args) {
  const Tensor &q = *args.q, &k = *args.k, &v = *args.v;
  const int64_t heads = q.shape()[0], m = q.shape()[1], d = q.shape()[2];
  const int64_t capacity = k.shape()[1], group = heads / k.shape()[0];
  std::vector<double> weights(static_cast<size_t>(args.keys));
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t first = head / group * capacity;  // row of key 0
    for (int64_t token = 0; token < m; ++token) {
      const int64_t seen = args.keys - m + token + 1;
      double largest = -HUGE_VAL, sum = 0;
      for (int64_t key = 0; key < seen; ++key) {
        double dot = 0;
        for (int64_t i = 0; i < d; ++i) dot += value_at(q, head * m + token, i) * value_at(k, first + key, i);
        weights[static_cast<size_t>(key)] = dot * args.scale;
        largest = std::max(largest, dot * args.scale);
      }
      for (int64_t key = 0; key < seen; ++key) {
        double& weight = weights[static_cast<size_t>(key)];
        weight = std::exp(weight - largest);
        sum += weight;
      }
      for (int64_t i = 0; i < d; ++i) {
        double mean = 0;
        for (int64_t key = 0; key < seen; ++key)
          mean += weights[static_cast<size_t>(key)] * value_at(v, first + key, i);
        set_value(*args.out, token, head * d + i, mean / sum);
      }
    }
  }
}

}  // namespace omni::reference
