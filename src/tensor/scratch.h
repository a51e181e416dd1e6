#pragma once
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace omni {

// A stack of temporary tensors with stable addresses: no allocation once it has grown to a job's need, so that a step
// can be repeated (and later captured) as it is. Used by one thread. Blocks are never freed before the Scratch.
class Scratch {
 public:
  explicit Scratch(Device device = {}) : device_(device) {}

  // Uninitialised, 64-byte aligned, valid until the enclosing Mark is destroyed.
  Tensor tensor(DType dtype, Shape shape);

  // Everything taken after a Mark is given back when the Mark goes.
  class Mark {
   public:
    explicit Mark(Scratch& scratch) : scratch_(scratch), block_(scratch.block_), used_(scratch.used_) {}
    ~Mark() {
      scratch_.block_ = block_;
      scratch_.used_ = used_;
    }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    Scratch& scratch_;
    size_t block_, used_;
  };

  size_t reserved_bytes() const;  // what this arena holds, used or not

 private:
  Device device_;
  std::vector<std::shared_ptr<Buffer>> blocks_;
  size_t block_ = 0;  // index of the block in use
  size_t used_ = 0;   // bytes used of it
};

}  // namespace omni
