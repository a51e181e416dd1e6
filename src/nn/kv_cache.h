#pragma once
#include <cstdint>

#include "tensor/tensor.h"

namespace omni {

// Keys and values of one sequence in every layer of a network, room for `capacity` tokens side by side. Owned by the
// request; one thread at a time. A pass writes rows [tokens, tokens + m) of every layer, then advances.
class KvCache {
 public:
  KvCache() = default;
  // dtype: kF32 or kBF16. Throws Error when there is no memory for it.
  KvCache(int64_t layers, int64_t heads, int64_t capacity, int64_t head_dim, DType dtype);

  int64_t tokens() const { return tokens_; }
  int64_t capacity() const { return capacity_; }
  int64_t bytes() const { return keys_.bytes() + values_.bytes(); }
  Tensor keys(int64_t layer) const { return part(keys_, layer); }  // [heads, capacity, head_dim]
  Tensor values(int64_t layer) const { return part(values_, layer); }
  void advance(int64_t tokens);

 private:
  Tensor part(const Tensor& all, int64_t layer) const;
  Tensor keys_, values_;  // [layers, heads, capacity, head_dim]
  int64_t heads_ = 0, capacity_ = 0, head_dim_ = 0, tokens_ = 0;
};

}  // namespace omni
