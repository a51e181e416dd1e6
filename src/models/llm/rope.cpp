#include "models/llm/rope.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace omni {
namespace {

// Llama 3.1: long wavelengths are stretched by factor, short ones left, those between blended.
double llama3(const RopeConfig& rope, double frequency) {
  const double turns = static_cast<double>(rope.trained_positions) * frequency / (2 * std::numbers::pi);
  if (turns > rope.high_frequency) return frequency;
  if (turns < rope.low_frequency) return frequency / rope.factor;
  const double part = (turns - rope.low_frequency) / (rope.high_frequency - rope.low_frequency);
  return (1 - part) * frequency / rope.factor + part * frequency;
}

// The pair that turns `turns` times over the trained positions.
double yarn_pair(const RopeConfig& rope, int64_t head_dim, double turns) {
  return static_cast<double>(head_dim) *
         std::log(static_cast<double>(rope.trained_positions) / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

double yarn(const RopeConfig& rope, int64_t head_dim, int64_t pair, double frequency) {
  const double low = std::max(std::floor(yarn_pair(rope, head_dim, rope.beta_fast)), 0.0);
  double high = std::min(std::ceil(yarn_pair(rope, head_dim, rope.beta_slow)), static_cast<double>(head_dim - 1));
  if (high == low) high += 0.001;
  const double stretched = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  return frequency / rope.factor * stretched + frequency * (1 - stretched);
}

}  // namespace

std::vector<float> rope_frequencies(const RopeConfig& rope, int64_t head_dim, std::span<const float> divisors) {
  std::vector<float> out;
  for (int64_t pair = 0; pair < head_dim / 2; ++pair) {
    double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(head_dim));
    switch (rope.scaling) {
      case RopeScaling::kNone:
        break;
      case RopeScaling::kLinear:
        frequency /= rope.factor;
        break;
      case RopeScaling::kLlama3:
        frequency = llama3(rope, frequency);
        break;
      case RopeScaling::kYarn:
        frequency = yarn(rope, head_dim, pair, frequency);
        break;
      case RopeScaling::kFactors:
        assert(static_cast<int64_t>(divisors.size()) == head_dim / 2);
        frequency /= static_cast<double>(divisors[static_cast<size_t>(pair)]);
        break;
    }
    out.push_back(static_cast<float>(frequency));
  }
  return out;
}

float rope_attention_factor(const RopeConfig& rope) {
  if (rope.scaling != RopeScaling::kYarn) return 1;
  if (rope.attention_factor > 0) return static_cast<float>(rope.attention_factor);
  return rope.factor <= 1 ? 1.0f : static_cast<float>(0.1 * std::log(rope.factor) + 1);
}

}  // namespace omni
