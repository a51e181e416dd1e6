#pragma once
#include <cstdint>
#include <span>

#include "quant/weight.h"
#include "tensor/exec.h"

namespace omni {

// A table of rows kept as it is stored; the rows asked for are decoded. Immutable; made by Scope.
class Embedding {
 public:
  Embedding() = default;
  explicit Embedding(Weight canonical) : weight_(std::move(canonical)) {}

  // out[i] = row ids[i]. out: [ids, cols] f32. Throws Error for an id outside the table, before anything is written.
  void operator()(Exec& exec, std::span<const int32_t> ids, Tensor& out) const;

 private:
  Weight weight_;
};

}  // namespace omni
