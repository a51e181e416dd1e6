#pragma once
#include <cstdint>
#include <optional>
#include <random>
#include <span>

namespace omni {

// The normal numbers of PyTorch's CPU generator: the same seed gives the noise that torch.randn gives, so that a job
// can be compared with the reference. A value with state; one thread at a time.
class TorchGenerator {
 public:
  explicit TorchGenerator(uint64_t seed);  // like torch.Generator().manual_seed(seed): the low 32 bits count

  // Fills out as torch.randn(out.size(), generator=g, dtype=float32) does, and moves on as it does.
  void randn(std::span<float> out);

 private:
  float uniform();          // [0, 1) in steps of 2^-24
  double uniform_double();  // [0, 1) in steps of 2^-53
  double normal_double();
  void fill_normal_16(std::span<float> uniforms);
  std::mt19937 engine_;
  std::optional<double> second_normal_;  // the other half of the last pair of normal_double
};

}  // namespace omni
