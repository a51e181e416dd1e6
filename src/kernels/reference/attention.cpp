#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/reference/produce_rows.h"
#include "kernels/reference/reference_ops.h"

namespace omni::reference {

void attention(Exec&, const AttentionArgs& args) {
  const Tensor &q = *args.q, &k = *args.k, &v = *args.v;
  const int64_t heads = q.shape()[0], tokens = q.shape()[1], keys = k.shape()[1], d = q.shape()[2];
  std::vector<double> weights(static_cast<size_t>(keys));
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t seen = args.causal ? std::min(keys, token + keys - tokens + 1) : keys;
      double largest = -HUGE_VAL;
      for (int64_t key = 0; key < seen; ++key) {
        double dot = 0;
        for (int64_t i = 0; i < d; ++i) {
          dot += value_at(q, head * tokens + token, i) * value_at(k, head * keys + key, i);
        }
        dot *= args.scale;
        if (args.bias != nullptr) dot += args.bias[(head * tokens + token) * keys + key];
        weights[static_cast<size_t>(key)] = dot;
        largest = std::max(largest, dot);
      }
      double sum = 0;
      for (int64_t key = 0; key < seen; ++key) {
        double& weight = weights[static_cast<size_t>(key)];
        weight = std::exp(weight - largest);
        sum += weight;
      }
      for (int64_t i = 0; i < d; ++i) {
        double mean = 0;
        for (int64_t key = 0; key < seen; ++key) {
          mean += weights[static_cast<size_t>(key)] * value_at(v, head * keys + key, i);
        }
        set_value(*args.out, token, head * d + i, mean / sum);
      }
    }
  }
}

}  // namespace omni::reference
