#include "tensor/scratch.h"

#include <algorithm>

namespace omni {

namespace {
constexpr size_t kBlockBytes = size_t{8} << 20;
}

Tensor Scratch::tensor(DType dtype, Shape shape) {
  const auto bytes = (static_cast<size_t>(storage_bytes(dtype, shape.count())) + 63) / 64 * 64;
  while (block_ < blocks_.size() && used_ + bytes > blocks_[block_]->bytes()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.push_back(Buffer::allocate(device_, std::max(bytes, kBlockBytes)));
  Tensor out(blocks_[block_], used_, dtype, shape);
  used_ += bytes;
  return out;
}

size_t Scratch::reserved_bytes() const {
  size_t sum = 0;
  for (const auto& block : blocks_) sum += block->bytes();
  return sum;
}

}  // namespace omni
