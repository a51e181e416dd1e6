#pragma once
#include <span>
#include <vector>

#include "models/llm/config.h"

namespace omni {

// Radians a position turns each pair of a head, after scaling: theta^(-2i / head_dim), stretched. divisors: kFactors
// only.
std::vector<float> rope_frequencies(const RopeConfig& rope, int64_t head_dim, std::span<const float> divisors);

// What cos and sin are multiplied by: 1 but for YaRN (Peng et al. 2023, section 3.4).
float rope_attention_factor(const RopeConfig& rope);

}  // namespace omni
