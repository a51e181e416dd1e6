#pragma once
#include <cstdint>

namespace omni {

// What a config may ask for at most: far above any model, and below what would exhaust memory or overflow.
inline constexpr int64_t kMaxLayers = 1024, kMaxWidth = 1 << 16, kMaxHidden = 1 << 20, kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxHeads = 1024, kMaxHeadDim = 512, kMaxExperts = 4096, kMaxPositions = 1 << 28;

}  // namespace omni
