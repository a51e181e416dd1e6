#include "media/quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/error.h"

namespace omni {
namespace {

std::string size_text(const Image& image) {
  return std::to_string(image.width) + " x " + std::to_string(image.height);
}

void check_same_size(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height)
    throw Error("quality", "compares pictures of " + size_text(a) + " and " + size_text(b), "pictures of one size");
}

constexpr int kRadius = 5;  // of the window: 3.5 sigma

std::array<double, 2 * kRadius + 1> gaussian_window() {
  std::array<double, 2 * kRadius + 1> window{};
  double sum = 0;
  for (int i = -kRadius; i <= kRadius; ++i) {
    constexpr double kSigma = 1.5;
    window[static_cast<size_t>(i + kRadius)] = std::exp(-0.5 * i * i / (kSigma * kSigma));
    sum += window[static_cast<size_t>(i + kRadius)];
  }
  for (double& weight : window) weight /= sum;
  return window;
}

// The five windowed means that the index is made of.
struct Moments {
  double a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  void add(double weight, const Moments& m) {
    a += weight * m.a;
    b += weight * m.b;
    aa += weight * m.aa;
    bb += weight * m.bb;
    ab += weight * m.ab;
  }
};

double similarity(const Moments& m) {
  constexpr double kC1 = (0.01 * 255) * (0.01 * 255), kC2 = (0.03 * 255) * (0.03 * 255);
  const double variance_a = m.aa - m.a * m.a, variance_b = m.bb - m.b * m.b, covariance = m.ab - m.a * m.b;
  return (2 * m.a * m.b + kC1) * (2 * covariance + kC2) /
         ((m.a * m.a + m.b * m.b + kC1) * (variance_a + variance_b + kC2));
}

// The sum over all windows that lie inside, one channel.
double similarity_sum(const Image& a, const Image& b, int channel) {
  const auto window = gaussian_window();
  std::vector<Moments> columns(static_cast<size_t>(a.width));
  double sum = 0;
  for (int y = kRadius; y < a.height - kRadius; ++y) {
    for (int x = 0; x < a.width; ++x) {
      Moments column;
      for (int i = -kRadius; i <= kRadius; ++i) {
        const double u = a.pixel(x, y + i)[channel], v = b.pixel(x, y + i)[channel];
        column.add(window[static_cast<size_t>(i + kRadius)], {u, v, u * u, v * v, u * v});
      }
      columns[static_cast<size_t>(x)] = column;
    }
    for (int x = kRadius; x < a.width - kRadius; ++x) {
      Moments whole;
      for (int i = -kRadius; i <= kRadius; ++i)
        whole.add(window[static_cast<size_t>(i + kRadius)], columns[static_cast<size_t>(x + i)]);
      sum += similarity(whole);
    }
  }
  return sum;
}

}  // namespace

double psnr(const Image& a, const Image& b) {
  check_same_size(a, b);
  double squares = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) {
    const double d = static_cast<double>(a.rgb[i]) - b.rgb[i];
    squares += d * d;
  }
  if (squares == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 * static_cast<double>(a.rgb.size()) / squares);
}

double ssim(const Image& a, const Image& b) {
  check_same_size(a, b);
  constexpr int kWindow = 2 * kRadius + 1;
  if (a.width < kWindow || a.height < kWindow)
    throw Error("quality", "SSIM of a picture of " + size_text(a), "at least 11 x 11");
  double sum = 0;
  for (int channel = 0; channel < 3; ++channel) sum += similarity_sum(a, b, channel);
  return sum / (3.0 * (a.width - kWindow + 1) * (a.height - kWindow + 1));
}

int max_difference(const Image& a, const Image& b) {
  check_same_size(a, b);
  int worst = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<int>(a.rgb[i]) - static_cast<int>(b.rgb[i])));
  return worst;
}

}  // namespace omni
