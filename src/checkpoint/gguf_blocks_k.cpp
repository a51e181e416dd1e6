#include <algorithm>

#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_runs.h"

// K-quants and IQ4_XS: super-blocks of 256 values. Layouts are drawn in docs/formats.md.
namespace omni {
namespace {

constexpr int kSuper = 256;
constexpr std::string_view kScaleRange = "a scale or minimum beyond what the type's blocks hold";

uint8_t* bytes_of(std::byte* part) {
  return reinterpret_cast<uint8_t*>(part);
}
const uint8_t* bytes_of(const std::byte* part) {
  return reinterpret_cast<const uint8_t*>(part);
}

// Q4_K and Q5_K: 8 scales and 8 minima of 6 bits in 12 bytes. Those of groups 0 to 3 are the low bits of bytes 0 to 7;
// of groups 4 to 7 the low nibbles share bytes 8 to 11, and the upper 2 bits lie atop bytes 0 to 7.
void read_six_bits(const uint8_t* packed, uint8_t* scales, uint8_t* minima) {
  for (int g = 0; g < 4; ++g) {
    scales[g] = packed[g] & 63;
    minima[g] = packed[g + 4] & 63;
    scales[g + 4] = static_cast<uint8_t>((packed[g + 8] & 0xf) | (packed[g] >> 6 << 4));
    minima[g + 4] = static_cast<uint8_t>((packed[g + 8] >> 4) | (packed[g + 4] >> 6 << 4));
  }
}
void write_six_bits(const uint8_t* scales, const uint8_t* minima, uint8_t* packed) {
  for (int g = 0; g < 4; ++g) {
    packed[g] = static_cast<uint8_t>(scales[g] | (scales[g + 4] >> 4 << 6));
    packed[g + 4] = static_cast<uint8_t>(minima[g] | (minima[g + 4] >> 4 << 6));
    packed[g + 8] = static_cast<uint8_t>((scales[g + 4] & 0xf) | (minima[g + 4] & 0xf) << 4);
  }
}

bool all_below(const uint8_t* values, int count, int limit) {
  return std::all_of(values, values + count, [&](uint8_t value) { return value < limit; });
}
bool all_within(const uint8_t* values, int count, int low, int high) {
  return std::all_of(values, values + count, [&](uint8_t value) {
    return static_cast<int8_t>(value) >= low && static_cast<int8_t>(value) <= high;
  });
}

}  // namespace

// Q2_K: scales and minima [16] | 2 bits [64] | d | dmin
std::string_view unpack_q2_k(const uint8_t* block, const BlockParts& out) {
  for (int g = 0; g < 16; ++g) {
    bytes_of(out.scales)[g] = block[g] & 0xf;
    bytes_of(out.zeros)[g] = block[g] >> 4;
  }
  std::memset(out.codes, 0, kSuper);
  read_two_bits<0>(block + 16, out.codes);
  std::memcpy(out.outer, block + 80, 2);
  std::memcpy(out.outer_zeros, block + 82, 2);
  return "";
}

std::string_view pack_q2_k(const ConstBlockParts& in, uint8_t* block) {
  const uint8_t *scales = bytes_of(in.scales), *minima = bytes_of(in.zeros);
  if (!all_below(scales, 16, 16) || !all_below(minima, 16, 16)) return kScaleRange;
  for (int g = 0; g < 16; ++g) block[g] = static_cast<uint8_t>(scales[g] | minima[g] << 4);
  write_two_bits<0>(in.codes, block + 16);
  std::memcpy(block + 80, in.outer, 2);
  std::memcpy(block + 82, in.outer_zeros, 2);
  return "";
}

// Q3_K: high bits [32] | 2 bits [64] | 6-bit scales [12] | d. A clear high bit means 4 less.
std::string_view unpack_q3_k(const uint8_t* block, const BlockParts& out) {
  const uint8_t *high = block, *low = block + 32, *scales = block + 96;
  std::memset(out.codes, 0, kSuper);
  read_two_bits<0>(low, out.codes);
  read_high_bits<2>(high, out.codes);
  move_codes<kSuper, -4, 0xf>(out.codes, out.codes);
  for (int g = 0; g < 16; ++g) {
    const int low_bits = (scales[g % 8] >> (g / 8 * 4)) & 0xf, high_bits = (scales[8 + g % 4] >> (g / 4 * 2)) & 3;
    bytes_of(out.scales)[g] = static_cast<uint8_t>((low_bits | high_bits << 4) - 32);
  }
  std::memcpy(out.outer, block + 108, 2);
  return "";
}

std::string_view pack_q3_k(const ConstBlockParts& in, uint8_t* block) {
  if (!all_within(bytes_of(in.scales), 16, -32, 31)) return kScaleRange;
  uint8_t *high = block, *low = block + 32, *scales = block + 96;
  uint8_t codes[kSuper];
  move_codes<kSuper, 4, 0xf>(in.codes, codes);
  write_two_bits<0>(codes, low);
  write_high_bits<2>(codes, high);
  for (int g = 0; g < 16; ++g) {
    const int scale = static_cast<int8_t>(bytes_of(in.scales)[g]) + 32;
    scales[g % 8] |= static_cast<uint8_t>((scale & 0xf) << (g / 8 * 4));
    scales[8 + g % 4] |= static_cast<uint8_t>((scale >> 4) << (g / 4 * 2));
  }
  std::memcpy(block + 108, in.outer, 2);
  return "";
}

// Q4_K: d | dmin | 6-bit scales and minima [12] | nibbles [128]
std::string_view unpack_q4_k(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.outer, block, 2);
  std::memcpy(out.outer_zeros, block + 2, 2);
  read_six_bits(block + 4, bytes_of(out.scales), bytes_of(out.zeros));
  read_nibbles<32, kSuper>(block + 16, out.codes);
  return "";
}

std::string_view pack_q4_k(const ConstBlockParts& in, uint8_t* block) {
  const uint8_t *scales = bytes_of(in.scales), *minima = bytes_of(in.zeros);
  if (!all_below(scales, 8, 64) || !all_below(minima, 8, 64)) return kScaleRange;
  std::memcpy(block, in.outer, 2);
  std::memcpy(block + 2, in.outer_zeros, 2);
  write_six_bits(scales, minima, block + 4);
  write_nibbles<32, kSuper>(in.codes, block + 16);
  return "";
}

// Q5_K: d | dmin | 6-bit scales and minima [12] | fifth bits [32] | nibbles [128]
std::string_view unpack_q5_k(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.outer, block, 2);
  std::memcpy(out.outer_zeros, block + 2, 2);
  read_six_bits(block + 4, bytes_of(out.scales), bytes_of(out.zeros));
  read_nibbles<32, kSuper>(block + 48, out.codes);
  read_high_bits<4>(block + 16, out.codes);
  return "";
}

std::string_view pack_q5_k(const ConstBlockParts& in, uint8_t* block) {
  const uint8_t *scales = bytes_of(in.scales), *minima = bytes_of(in.zeros);
  if (!all_below(scales, 8, 64) || !all_below(minima, 8, 64)) return kScaleRange;
  std::memcpy(block, in.outer, 2);
  std::memcpy(block + 2, in.outer_zeros, 2);
  write_six_bits(scales, minima, block + 4);
  write_nibbles<32, kSuper>(in.codes, block + 48);
  write_high_bits<4>(in.codes, block + 16);
  return "";
}

// Q6_K: nibbles [128] | upper 2 bits [64] | scales [16] | d
std::string_view unpack_q6_k(const uint8_t* block, const BlockParts& out) {
  read_nibbles<64, kSuper>(block, out.codes);
  read_two_bits<4>(block + 128, out.codes);
  move_codes<kSuper, -32>(out.codes, out.codes);
  std::memcpy(out.scales, block + 192, 16);
  std::memcpy(out.outer, block + 208, 2);
  return "";
}

std::string_view pack_q6_k(const ConstBlockParts& in, uint8_t* block) {
  uint8_t codes[kSuper];
  move_codes<kSuper, 32>(in.codes, codes);
  write_nibbles<64, kSuper>(codes, block);
  write_two_bits<4>(codes, block + 128);
  std::memcpy(block + 192, in.scales, 16);
  std::memcpy(block + 208, in.outer, 2);
  return "";
}

// IQ4_XS: d | upper 2 bits of scales [2] | lower 4 [4] | nibbles [128]
std::string_view unpack_iq4_xs(const uint8_t* block, const BlockParts& out) {
  const int high = block[2] | block[3] << 8;
  for (int g = 0; g < 8; ++g) {
    const int low_bits = (block[4 + g / 2] >> (g % 2 * 4)) & 0xf, high_bits = (high >> (2 * g)) & 3;
    bytes_of(out.scales)[g] = static_cast<uint8_t>((low_bits | high_bits << 4) - 32);
  }
  read_nibbles<16, kSuper>(block + 8, out.codes);
  std::memcpy(out.outer, block, 2);
  return "";
}

std::string_view pack_iq4_xs(const ConstBlockParts& in, uint8_t* block) {
  if (!all_within(bytes_of(in.scales), 8, -32, 31)) return kScaleRange;
  for (int g = 0; g < 8; ++g) {
    const int scale = static_cast<int8_t>(bytes_of(in.scales)[g]) + 32;
    block[4 + g / 2] |= static_cast<uint8_t>((scale & 0xf) << (g % 2 * 4));
    block[2 + g / 4] |= static_cast<uint8_t>((scale >> 4) << (g % 4 * 2));
  }
  write_nibbles<16, kSuper>(in.codes, block + 8);
  std::memcpy(block, in.outer, 2);
  return "";
}

}  // namespace omni
