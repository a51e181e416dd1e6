#include "tensor/torch_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

namespace omni {
namespace {

// The single-precision log, sine and cosine of the Cephes library, rounded exactly where the vector code of PyTorch
// rounds (a multiplication that feeds an addition is fused), so that the noise agrees to the last bit everywhere.
// argument > 0, normal.
float cephes_log(float argument) {
  const uint32_t bits = std::bit_cast<uint32_t>(argument);
  float exponent = static_cast<float>(static_cast<int>(bits >> 23) - 127) + 1.0f;
  float x = std::bit_cast<float>((bits & 0x007fffffu) | 0x3f000000u);  // mantissa in [0.5, 1)
  if (x < 0.707106781186547524f) {
    exponent -= 1.0f;
    x = (x - 1.0f) + x;
  } else {
    x -= 1.0f;
  }
  static constexpr float kCoefficients[] = {7.0376836292e-2f,  -1.1514610310e-1f, 1.1676998740e-1f,
                                            -1.2420140846e-1f, 1.4249322787e-1f,  -1.6668057665e-1f,
                                            2.0000714765e-1f,  -2.4999993993e-1f, 3.3333331174e-1f};
  const float z = x * x;
  float y = kCoefficients[0];
  for (size_t i = 1; i < std::size(kCoefficients); ++i) y = std::fma(y, x, kCoefficients[i]);
  y = std::fma(y * x, z, exponent * -2.12194440e-4f);
  y = std::fma(-z, 0.5f, y);
  return std::fma(exponent, 0.693359375f, x + y);
}

struct SineCosine {
  float sine, cosine;
};

// argument in [0, 2 pi].
SineCosine cephes_sincos(float argument) {
  const int octant = (static_cast<int>(argument * 1.27323954473516f) + 1) & ~1;
  const float j = static_cast<float>(octant);
  float x = std::fma(j, -0.78515625f, argument);
  x = std::fma(j, -2.4187564849853515625e-4f, x);
  x = std::fma(j, -3.77489497744594108e-8f, x);
  const float z = x * x;
  float cosine = std::fma(2.443315711809948e-5f, z, -1.388731625493765e-3f);
  cosine = std::fma(cosine, z, 4.166664568298827e-2f);
  cosine = std::fma(cosine * z, z, -(z * 0.5f)) + 1.0f;
  float sine = std::fma(-1.9515295891e-4f, z, 8.3321608736e-3f);
  sine = std::fma(sine, z, -1.6666654611e-1f);
  sine = std::fma(sine * z, x, x);
  if ((octant & 2) != 0) std::swap(sine, cosine);
  return {(octant & 4) != 0 ? -sine : sine, ((octant - 2) & 4) == 0 ? -cosine : cosine};
}

}  // namespace

TorchGenerator::TorchGenerator(uint64_t seed) : engine_(static_cast<uint32_t>(seed)) {}

float TorchGenerator::uniform() {
  return static_cast<float>(engine_() & 0xffffffu) * 0x1p-24f;
}

double TorchGenerator::uniform_double() {
  const uint64_t high = engine_();
  const uint64_t low = engine_();
  return static_cast<double>(((high << 32) | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
}

// Box and Muller's pair in double precision, one half a call.
double TorchGenerator::normal_double() {
  if (second_normal_.has_value()) {
    const double kept = *second_normal_;
    second_normal_.reset();
    return kept;
  }
  const double u1 = uniform_double();
  const double u2 = uniform_double();
  const double radius = std::sqrt(-2.0 * std::log1p(-u2));
  const double theta = 2.0 * std::numbers::pi * u1;
  second_normal_ = radius * std::sin(theta);
  return radius * std::cos(theta);
}

// 16 uniforms to 16 normals in place: the first 8 give the radii, the last 8 the angles.
void TorchGenerator::fill_normal_16(std::span<float> uniforms) {
  for (size_t i = 0; i < 8; ++i) {
    const float radius = std::sqrt(-2.0f * cephes_log(1.0f - uniforms[i]));
    const SineCosine angle = cephes_sincos(2.0f * std::numbers::pi_v<float> * uniforms[i + 8]);
    uniforms[i] = radius * angle.cosine + 0.0f;
    uniforms[i + 8] = radius * angle.sine + 0.0f;
  }
}

void TorchGenerator::randn(std::span<float> out) {
  if (out.size() < 16) {
    for (float& value : out) value = static_cast<float>(normal_double());
    return;
  }
  for (float& value : out) value = uniform();
  size_t begin = 0;
  for (; begin + 16 <= out.size(); begin += 16) fill_normal_16(out.subspan(begin, 16));
  if (begin == out.size()) return;
  // The last 16 values are drawn again, over values that are done already.
  const std::span<float> tail = out.last(16);
  for (float& value : tail) value = uniform();
  fill_normal_16(tail);
}

}  // namespace omni
