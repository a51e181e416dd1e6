#include "nn/kv_cache.h"

#include <cassert>

namespace omni {

KvCache::KvCache(int64_t layers, int64_t heads, int64_t capacity, int64_t head_dim, DType dtype)
    : keys_(dtype, Shape{layers, heads, capacity, head_dim}),
      values_(dtype, Shape{layers, heads, capacity, head_dim}),
      heads_(heads),
      capacity_(capacity),
      head_dim_(head_dim) {
  assert(dtype == DType::kF32 || dtype == DType::kBF16);
}

void KvCache::advance(int64_t tokens) {
  assert(tokens_ + tokens <= capacity_);
  tokens_ += tokens;
}

Tensor KvCache::part(const Tensor& all, int64_t layer) const {
  const int64_t rows = heads_ * capacity_;
  return all.row_range(layer * rows, rows).reshaped(Shape{heads_, capacity_, head_dim_});
}

}  // namespace omni
