#include <array>
#include <bit>

#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_grids.h"
#include "checkpoint/gguf_runs.h"
#include "tensor/float_bits.h"

// Codebook types: super-blocks of 256 values whose magnitudes come from a grid, 8 or 4 at a time. Everything becomes
// i8 codes, odd u8 scales and an f32 outer scale that takes the type's constant factor: all products are exact in f32.
namespace omni {
namespace {

uint16_t u16_at(const uint8_t* bytes, int i) {
  uint16_t value;
  std::memcpy(&value, bytes + 2 * i, 2);
  return value;
}
uint32_t u32_at(const uint8_t* bytes, int i) {
  uint32_t value;
  std::memcpy(&value, bytes + 4 * i, 4);
  return value;
}

void put_outer(const BlockParts& out, uint16_t d, float factor) {
  const float outer = f16_to_f32(d) * factor;
  std::memcpy(out.outer, &outer, 4);
}
// ggml multiplies by (2s + 1) / 2 or 2s + 1.
void put_scale(const BlockParts& out, int group, int s) {
  out.scales[group] = static_cast<std::byte>(2 * s + 1);
}

// The values of every grid entry, spread out once.
template <int kValues, int kBits, size_t kEntries, size_t kLevels>
struct Grid {
  std::array<std::array<int8_t, kValues>, kEntries> values;
  Grid(const std::array<uint16_t, kEntries>& packed, const std::array<int8_t, kLevels>& levels) {
    for (size_t entry = 0; entry < kEntries; ++entry) {
      for (size_t i = 0; i < kValues; ++i) values[entry][i] = levels[packed[entry] >> (kBits * i) & (kLevels - 1)];
    }
  }
};
constexpr std::array<int8_t, 4> kIQ2Levels = {8, 25, 43, 0};
using IQ1Grid = Grid<8, 2, 2048, 4>;
using IQ2SGrid = Grid<8, 2, 1024, 4>;
using IQ2XSGrid = Grid<8, 2, 512, 4>;
using IQ2XXSGrid = Grid<8, 2, 256, 4>;
using IQ3SGrid = Grid<4, 4, 512, 8>;
using IQ3XXSGrid = Grid<4, 4, 256, 8>;

// Codes of one grid entry; a set bit of signs makes a value negative.
template <size_t kValues>
void put_signed(uint8_t* codes, const std::array<int8_t, kValues>& values, unsigned signs) {
  const auto& masks = kBitMasks[signs & 0xff];
  for (size_t i = 0; i < kValues; ++i) codes[i] = static_cast<uint8_t>((values[i] ^ masks[i]) - masks[i]);
}

// 7 signs are stored, the eighth makes their number even.
unsigned eight_signs(unsigned seven) {
  return seven | static_cast<unsigned>(std::popcount(seven) & 1) << 7;
}

// value = d * (2s + 1) * (grid +- 1/8): codes are eight times what is in brackets.
void put_shifted(uint8_t* codes, const std::array<int8_t, 8>& values, bool down) {
  for (size_t i = 0; i < 8; ++i) codes[i] = static_cast<uint8_t>(8 * values[i] + (down ? -1 : 1));
}
const IQ1Grid& iq1_grid() {
  static const IQ1Grid grid(kIQ1Grid, {-1, 0, 1, 0});
  return grid;
}

}  // namespace

// d | for each 32: grid indices [4], then 28 bits of signs and 4 of scale
std::string_view unpack_iq2_xxs(const uint8_t* block, const BlockParts& out) {
  static const IQ2XXSGrid grid(kIQ2XXSGrid, kIQ2Levels);
  put_outer(out, u16_at(block, 0), 0.125f);
  for (int g = 0; g < 8; ++g) {
    const uint8_t* group = block + 2 + 8 * g;
    const uint32_t rest = u32_at(group, 1);
    put_scale(out, g, static_cast<int>(rest >> 28));
    for (int k = 0; k < 4; ++k)
      put_signed(out.codes + 32 * g + 8 * k, grid.values[group[k]], eight_signs(rest >> (7 * k) & 127));
  }
  return "";
}

// d | for each 8: 9 bits of grid index, 7 of signs | 4-bit scales [8]
std::string_view unpack_iq2_xs(const uint8_t* block, const BlockParts& out) {
  static const IQ2XSGrid grid(kIQ2XSGrid, kIQ2Levels);
  put_outer(out, u16_at(block, 0), 0.125f);
  for (int k = 0; k < 32; ++k) {
    const unsigned word = u16_at(block + 2, k);
    put_signed(out.codes + 8 * k, grid.values[word & 511], eight_signs(word >> 9));
  }
  for (int g = 0; g < 16; ++g) put_scale(out, g, block[66 + g / 2] >> (g % 2 * 4) & 0xf);
  return "";
}

// d | grid indices [32] | signs [32] | upper 2 bits of indices [8] | 4-bit scales [8]
std::string_view unpack_iq2_s(const uint8_t* block, const BlockParts& out) {
  static const IQ2SGrid grid(kIQ2SGrid, kIQ2Levels);
  put_outer(out, u16_at(block, 0), 0.125f);
  for (int k = 0; k < 32; ++k) {
    const unsigned index = block[2 + k] | (block[66 + k / 4] >> (k % 4 * 2) & 3u) << 8;
    put_signed(out.codes + 8 * k, grid.values[index], block[34 + k]);
  }
  for (int g = 0; g < 16; ++g) put_scale(out, g, block[74 + g / 2] >> (g % 2 * 4) & 0xf);
  return "";
}

// d | grid indices [64] | for each 32: 28 bits of signs and 4 of scale
std::string_view unpack_iq3_xxs(const uint8_t* block, const BlockParts& out) {
  static const IQ3XXSGrid grid(kIQ3XXSGrid, {4, 12, 20, 28, 36, 44, 52, 62});
  put_outer(out, u16_at(block, 0), 0.25f);
  for (int g = 0; g < 8; ++g) {
    const uint32_t rest = u32_at(block + 66, g);
    put_scale(out, g, static_cast<int>(rest >> 28));
    for (int k = 0; k < 8; ++k) {
      const unsigned signs = eight_signs(rest >> (7 * (k / 2)) & 127);
      put_signed(out.codes + 32 * g + 4 * k, grid.values[block[2 + 8 * g + k]], signs >> (k % 2 * 4));
    }
  }
  return "";
}

// d | grid indices [64] | their ninth bits [8] | signs [32] | 4-bit scales [4]
std::string_view unpack_iq3_s(const uint8_t* block, const BlockParts& out) {
  static const IQ3SGrid grid(kIQ3SGrid, {1, 3, 5, 7, 9, 11, 13, 15});
  put_outer(out, u16_at(block, 0), 1.0f);
  for (int k = 0; k < 64; ++k) {
    const unsigned index = block[2 + k] | (block[66 + k / 8] >> (k % 8) & 1u) << 8;
    put_signed(out.codes + 4 * k, grid.values[index], static_cast<unsigned>(block[74 + k / 2]) >> (k % 2 * 4));
  }
  for (int g = 0; g < 8; ++g) put_scale(out, g, block[106 + g / 2] >> (g % 2 * 4) & 0xf);
  return "";
}

// d | grid indices [32] | for each 32: four times 3 upper index bits, 3 of scale, 1 for which way the grid is shifted
std::string_view unpack_iq1_s(const uint8_t* block, const BlockParts& out) {
  put_outer(out, u16_at(block, 0), 0.125f);
  for (int g = 0; g < 8; ++g) {
    const unsigned high = u16_at(block + 34, g);
    put_scale(out, g, static_cast<int>(high >> 12 & 7));
    for (int k = 0; k < 4; ++k) {
      const unsigned index = block[2 + 4 * g + k] | (high >> (3 * k) & 7u) << 8;
      put_shifted(out.codes + 32 * g + 8 * k, iq1_grid().values[index], (high & 0x8000) != 0);
    }
  }
  return "";
}

// grid indices [32] | for each 8 a nibble: 3 upper index bits, 1 for the shift [16] | words [4]: four 3-bit scales, and
// atop them a nibble of d
std::string_view unpack_iq1_m(const uint8_t* block, const BlockParts& out) {
  const uint8_t *high = block + 32, *scales = block + 48;
  uint16_t d = 0;
  for (int i = 0; i < 4; ++i) d = static_cast<uint16_t>(d | u16_at(scales, i) >> 12 << (4 * i));
  put_outer(out, d, 0.125f);
  for (int g = 0; g < 16; ++g) put_scale(out, g, u16_at(scales, g / 4) >> (g % 4 * 3) & 7);
  for (int k = 0; k < 32; ++k) {
    const unsigned nibble = high[k / 2] >> (k % 2 * 4) & 0xfu;
    put_shifted(out.codes + 8 * k, iq1_grid().values[block[k] | (nibble & 7) << 8], (nibble & 8) != 0);
  }
  return "";
}

}  // namespace omni
