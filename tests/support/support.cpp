#include "support/support.h"

#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace omni::testing {

std::filesystem::path source_dir() {
  return OMNI_SOURCE_DIR;
}
std::filesystem::path golden(const std::string& name) {
  return source_dir() / "tests/golden" / name;
}
std::filesystem::path model(const std::string& name) {
  return source_dir() / "models" / name;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "omni-test-XXXXXX").string();
  path_ = ::mkdtemp(name.data());
}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Tensor random_tensor(Shape shape, uint32_t seed, float scale) {
  Tensor out(DType::kF32, shape);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  for (int64_t i = 0; i < shape.count(); ++i) out.f32()[i] = normal(generator);
  return out;
}

Difference compare(const Tensor& got_any, const Tensor& want_any) {
  const Tensor got = to_f32(got_any), want = to_f32(want_any);
  Difference worst;
  if (got.shape().count() != want.shape().count() || want.shape().count() == 0) {
    worst.over_range = std::numeric_limits<double>::infinity();
    return worst;
  }
  float low = want.f32()[0], high = low;
  for (int64_t i = 0; i < want.shape().count(); ++i) {
    low = std::min(low, want.f32()[i]);
    high = std::max(high, want.f32()[i]);
  }
  const double range = high > low ? static_cast<double>(high) - low : 1.0;
  double largest = -1;
  for (int64_t i = 0; i < want.shape().count(); ++i) {
    double d = std::fabs(static_cast<double>(got.f32()[i]) - want.f32()[i]);
    if (std::isnan(d)) d = std::numeric_limits<double>::infinity();
    if (d > largest) {
      largest = d;
      worst = {d / range, i / want.cols(), i % want.cols(), got.f32()[i], want.f32()[i]};
    }
  }
  return worst;
}

std::string Difference::text() const {
  return "worst element at row " + std::to_string(row) + ", col " + std::to_string(col) + ": got " +
         std::to_string(got) + ", want " + std::to_string(want) + " (" + std::to_string(over_range) + " of range)";
}

}  // namespace omni::testing
