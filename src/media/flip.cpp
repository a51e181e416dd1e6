#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "media/quality.h"

// The FLIP difference evaluator for low dynamic range pictures, after Andersson, Nilsson, Akenine-Moeller, Oskarsson,
// Astroem and Fairchild, "FLIP: A Difference Evaluator for Alternating Images" (2020); names as in the paper.
namespace omni {
namespace {

constexpr double kPi = std::numbers::pi;
// 0.7 m from a monitor 0.7 m wide with 3840 pixels.
constexpr double kPixelsPerDegree = 0.7 * 3840 / 0.7 * kPi / 180;

using Colour = std::array<double, 3>;

struct Plane {
  int width = 0, height = 0;
  std::vector<double> values;
  Plane(int w, int h) : width(w), height(h), values(static_cast<size_t>(w) * static_cast<size_t>(h)) {}
  double& at(int x, int y) {
    return values[static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)];
  }
  double at(int x, int y) const { return const_cast<Plane*>(this)->at(x, y); }
};
using Planes = std::array<Plane, 3>;

// sRGB primaries and white.
constexpr std::array<Colour, 3> kRgbToXyz = {{{10135552.0 / 24577794, 8788810.0 / 24577794, 4435075.0 / 24577794},
                                              {2613072.0 / 12288897, 8788810.0 / 12288897, 887015.0 / 12288897},
                                              {1425312.0 / 73733382, 8788810.0 / 73733382, 70074185.0 / 73733382}}};

Colour times(const std::array<Colour, 3>& matrix, const Colour& v) {
  Colour out{};
  for (size_t i = 0; i < 3; ++i) out[i] = matrix[i][0] * v[0] + matrix[i][1] * v[1] + matrix[i][2] * v[2];
  return out;
}

std::array<Colour, 3> inverse(const std::array<Colour, 3>& m) {
  std::array<Colour, 3> out{};
  const auto cofactor = [&](size_t r, size_t c) {
    const size_t r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
    return m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1];
  };
  const double determinant = m[0][0] * cofactor(0, 0) + m[0][1] * cofactor(0, 1) + m[0][2] * cofactor(0, 2);
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 3; ++c) out[c][r] = cofactor(r, c) / determinant;
  }
  return out;
}

// XYZ over that of white.
Colour relative_xyz(const Colour& linear_rgb) {
  const Colour white = times(kRgbToXyz, {1, 1, 1});
  Colour xyz = times(kRgbToXyz, linear_rgb);
  for (size_t i = 0; i < 3; ++i) xyz[i] /= white[i];
  return xyz;
}

double linear(uint8_t srgb) {
  const double v = srgb / 255.0;
  return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
}

Colour to_opponent(const Colour& linear_rgb) {  // YCxCz
  const Colour r = relative_xyz(linear_rgb);
  return {116 * r[1] - 16, 500 * (r[0] - r[1]), 200 * (r[1] - r[2])};
}

Colour from_opponent(const Colour& c) {
  const Colour white = times(kRgbToXyz, {1, 1, 1});
  const double y = (c[0] + 16) / 116;
  static const std::array<Colour, 3> kXyzToRgb = inverse(kRgbToXyz);
  return times(kXyzToRgb, {(y + c[1] / 500) * white[0], y * white[1], (y - c[2] / 200) * white[2]});
}

// L*a*b* with Hunt's adjustment: colours lose chroma where it is dark.
Colour to_hunt_lab(const Colour& linear_rgb) {
  Colour f = relative_xyz(linear_rgb);
  constexpr double kDelta = 6.0 / 29;
  for (double& t : f) t = t > kDelta * kDelta * kDelta ? std::cbrt(t) : t / (3 * kDelta * kDelta) + 4.0 / 29;
  const double lightness = 116 * f[1] - 16;
  return {lightness, 0.01 * lightness * 500 * (f[0] - f[1]), 0.01 * lightness * 200 * (f[1] - f[2])};
}

double hyab(const Colour& a, const Colour& b) {
  return std::fabs(a[0] - b[0]) + std::hypot(a[1] - b[1], a[2] - b[2]);
}

// A one-dimensional filter of odd length along x, then another along y; edge pixels repeat outside.
Plane filtered(const Plane& in, const std::vector<double>& along_x, const std::vector<double>& along_y) {
  const int radius = static_cast<int>(along_x.size() / 2);
  Plane half(in.width, in.height), out(in.width, in.height);
  for (int y = 0; y < in.height; ++y) {
    for (int x = 0; x < in.width; ++x) {
      for (int i = -radius; i <= radius; ++i)
        half.at(x, y) += along_x[static_cast<size_t>(i + radius)] * in.at(std::clamp(x + i, 0, in.width - 1), y);
    }
  }
  for (int y = 0; y < in.height; ++y) {
    for (int i = -radius; i <= radius; ++i) {
      const int from = std::clamp(y + i, 0, in.height - 1);
      for (int x = 0; x < in.width; ++x) out.at(x, y) += along_y[static_cast<size_t>(i + radius)] * half.at(x, from);
    }
  }
  return out;
}

struct Bump {
  double a, b;  // a * sqrt(pi / b) * exp(-pi^2 z / b), z in degrees squared
};

// A contrast sensitivity filter: a weighted sum of two Gaussians with sum 1.
Plane sensitivity_filtered(const Plane& in, const std::array<Bump, 2>& bumps) {
  const int radius = static_cast<int>(std::ceil(3 * std::sqrt(0.04 / (2 * kPi * kPi)) * kPixelsPerDegree));
  Plane out(in.width, in.height);
  double total = 0;
  for (const Bump& bump : bumps) {
    if (bump.a == 0) continue;
    std::vector<double> gaussian;
    double sum = 0;
    for (int i = -radius; i <= radius; ++i) {
      const double degrees = i / kPixelsPerDegree;
      gaussian.push_back(std::exp(-kPi * kPi * degrees * degrees / bump.b));
      sum += gaussian.back();
    }
    const double weight = bump.a * std::sqrt(kPi / bump.b);
    total += weight * sum * sum;
    const Plane part = filtered(in, gaussian, gaussian);
    for (size_t i = 0; i < out.values.size(); ++i) out.values[i] += weight * part.values[i];
  }
  for (double& value : out.values) value /= total;
  return out;
}

Planes opponent_planes(const Image& image) {
  const Plane empty(image.width, image.height);
  Planes planes = {empty, empty, empty};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const uint8_t* p = image.pixel(x, y);
      const Colour c = to_opponent({linear(p[0]), linear(p[1]), linear(p[2])});
      for (size_t i = 0; i < 3; ++i) planes[i].at(x, y) = c[i];
    }
  }
  return planes;
}

// What the eye keeps of the colours, in Hunt-adjusted L*a*b*.
Planes perceived(const Planes& opponent) {
  Planes out = {sensitivity_filtered(opponent[0], {{{1, 0.0047}, {0, 1e-5}}}),
                sensitivity_filtered(opponent[1], {{{1, 0.0053}, {0, 1e-5}}}),
                sensitivity_filtered(opponent[2], {{{34.1, 0.04}, {13.5, 0.025}}})};
  for (size_t i = 0; i < out[0].values.size(); ++i) {
    Colour rgb = from_opponent({out[0].values[i], out[1].values[i], out[2].values[i]});
    for (double& v : rgb) v = std::clamp(v, 0.0, 1.0);
    const Colour lab = to_hunt_lab(rgb);
    for (size_t c = 0; c < 3; ++c) out[c].values[i] = lab[c];
  }
  return out;
}

struct FeatureKernels {
  std::vector<double> smooth, edge, point;
};

FeatureKernels feature_kernels() {
  const double deviation = 0.5 * 0.082 * kPixelsPerDegree;
  const int radius = static_cast<int>(std::ceil(3 * deviation));
  FeatureKernels kernels;
  double smooth_sum = 0, positive = 0, negative = 0, edge_sum = 0;
  for (int i = -radius; i <= radius; ++i) {
    const double g = std::exp(-0.5 * i * i / (deviation * deviation));
    kernels.smooth.push_back(g);
    kernels.edge.push_back(-i * g);
    kernels.point.push_back((i * i / (deviation * deviation) - 1) * g);
    smooth_sum += g;
    edge_sum += i > 0 ? i * g : 0;
    (kernels.point.back() > 0 ? positive : negative) += std::fabs(kernels.point.back());
  }
  for (double& w : kernels.smooth) w /= smooth_sum;
  for (double& w : kernels.edge) w /= edge_sum;
  for (double& w : kernels.point) w /= w > 0 ? positive : negative;
  return kernels;
}

// The strength of edges or points: the length of the vector of both directions.
Plane feature_strength(const Plane& in, const std::vector<double>& derivative, const std::vector<double>& smooth) {
  Plane out = filtered(in, derivative, smooth);
  const Plane down = filtered(in, smooth, derivative);
  for (size_t i = 0; i < out.values.size(); ++i) out.values[i] = std::hypot(out.values[i], down.values[i]);
  return out;
}

// The part below pc of the largest difference takes the range up to pt, the rest what is left.
double redistributed(double difference, double largest) {
  constexpr double kPc = 0.4, kPt = 0.95;
  const double knee = kPc * largest;
  if (difference < knee) return difference * kPt / knee;
  return kPt + (difference - knee) / (largest - knee) * (1 - kPt);
}

}  // namespace

double flip(const Image& reference, const Image& test) {
  max_difference(reference, test);  // checks the sizes
  constexpr double kColourPower = 0.7;
  const Planes a = opponent_planes(reference), b = opponent_planes(test);
  const Planes seen_a = perceived(a), seen_b = perceived(b);
  const double largest = std::pow(hyab(to_hunt_lab({0, 1, 0}), to_hunt_lab({0, 0, 1})), kColourPower);

  const FeatureKernels kernels = feature_kernels();
  Plane light_a = a[0], light_b = b[0];
  for (Plane* light : {&light_a, &light_b}) {
    for (double& v : light->values) v = (v + 16) / 116;
  }
  const Plane edge_a = feature_strength(light_a, kernels.edge, kernels.smooth);
  const Plane edge_b = feature_strength(light_b, kernels.edge, kernels.smooth);
  const Plane point_a = feature_strength(light_a, kernels.point, kernels.smooth);
  const Plane point_b = feature_strength(light_b, kernels.point, kernels.smooth);

  double sum = 0;
  for (size_t i = 0; i < light_a.values.size(); ++i) {
    const Colour colour_a = {seen_a[0].values[i], seen_a[1].values[i], seen_a[2].values[i]};
    const Colour colour_b = {seen_b[0].values[i], seen_b[1].values[i], seen_b[2].values[i]};
    const double colour = redistributed(std::pow(hyab(colour_a, colour_b), kColourPower), largest);
    const double feature =
        std::max(std::fabs(edge_a.values[i] - edge_b.values[i]), std::fabs(point_a.values[i] - point_b.values[i]));
    sum += std::pow(colour, 1 - std::sqrt(feature * std::numbers::sqrt2 / 2));
  }
  return sum / static_cast<double>(light_a.values.size());
}

}  // namespace omni
