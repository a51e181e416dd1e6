#pragma once
#include <array>
#include <cstdint>

namespace omni {

// The codebooks of ggml's IQ types. An entry of the IQ1 and IQ2 ones is 8 indices of 2 bits, of the IQ3 ones 4 indices
// of 4 bits, lowest first; what they index stands at each table.
extern const std::array<uint16_t, 2048> kIQ1Grid;
extern const std::array<uint16_t, 1024> kIQ2SGrid;
extern const std::array<uint16_t, 512> kIQ2XSGrid;
extern const std::array<uint16_t, 256> kIQ2XXSGrid;
extern const std::array<uint16_t, 512> kIQ3SGrid;
extern const std::array<uint16_t, 256> kIQ3XXSGrid;

}  // namespace omni
