#pragma once
#include <filesystem>
#include <string>

#include "tensor/tensor.h"

namespace omni::testing {

std::filesystem::path source_dir();                     // the checkout
std::filesystem::path golden(const std::string& name);  // tests/golden/name
std::filesystem::path model(const std::string& name);   // models/name

// A folder of its own that is removed with its contents.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Deterministic normal values, f32. scale: standard deviation.
Tensor random_tensor(Shape shape, uint32_t seed, float scale = 1.0f);

// The largest |got - want| over the range (max - min) of want, and where it is.
struct Difference {
  double over_range = 0;
  int64_t row = 0, col = 0;
  float got = 0, want = 0;
  std::string text() const;
};
Difference compare(const Tensor& got, const Tensor& want);  // f32, bf16 or f16; same number of elements

}  // namespace omni::testing
