#pragma once
#include <string_view>

#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "tensor/scratch.h"

namespace omni {

// Listens to named intermediate tensors; goldens and --taps use it. Called on the engine's thread; must copy what it
// keeps.
class Tap {
 public:
  virtual ~Tap() = default;
  // step: the denoise step, or -1 outside of one.
  virtual void record(std::string_view path, int64_t step, const Tensor& tensor) = 0;
};

// Where and how things are computed: first argument of everything that computes. One thread at a time.
struct Exec {
  Device device;
  ThreadPool* pool = nullptr;  // never null while computing
  Scratch scratch;
  DType compute = DType::kBF16;  // dtype of linear inputs and attention operands: kBF16 or kF32
  Tap* tap = nullptr;
  int64_t step = -1;  // the denoise step being computed, -1 outside of one; taps are named by it

  int threads() const { return pool->threads(); }
  void record(std::string_view path, const Tensor& tensor) const {
    if (tap != nullptr) tap->record(path, step, tensor);
  }
};

}  // namespace omni
