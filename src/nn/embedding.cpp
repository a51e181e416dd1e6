#include "nn/embedding.h"

#include "ops/embed.h"

namespace omni {

void Embedding::operator()(Exec& exec, std::span<const int32_t> ids, Tensor& out) const {
  ops::embed(exec, weight_, ids, out);
}

}  // namespace omni
