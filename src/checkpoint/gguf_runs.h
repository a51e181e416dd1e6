#pragma once
#include <array>
#include <cstdint>

namespace omni {

// How ggml lays small numbers into bytes, and back; plain loops of fixed length, so that they become vectors.

// A byte's bits as 8 bytes of 0 or 255, bit 0 first.
using BitMasks = std::array<std::array<uint8_t, 8>, 256>;
inline constexpr BitMasks kBitMasks = [] {
  BitMasks masks{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) masks[byte][bit] = (byte >> bit & 1) != 0 ? 0xff : 0;
  }
  return masks;
}();

// Nibbles in runs of kRun bytes: values [2 * kRun * i, ... + kRun) are their low halves, the next kRun the high ones.
template <int kRun, int kCount>
inline void read_nibbles(const uint8_t* __restrict bytes, uint8_t* __restrict codes) {
  for (int begin = 0; begin < kCount; begin += 2 * kRun) {
    for (int i = 0; i < kRun; ++i) codes[begin + i] = bytes[begin / 2 + i] & 0xf;
    for (int i = 0; i < kRun; ++i) codes[begin + kRun + i] = bytes[begin / 2 + i] >> 4;
  }
}
template <int kRun, int kCount>
inline void write_nibbles(const uint8_t* __restrict codes, uint8_t* __restrict bytes) {
  for (int begin = 0; begin < kCount; begin += 2 * kRun) {
    for (int i = 0; i < kRun; ++i)
      bytes[begin / 2 + i] = static_cast<uint8_t>((codes[begin + i] & 0xf) | codes[begin + kRun + i] << 4);
  }
}

// 256 two-bit numbers in 64 bytes: value 128n + 32j + i lies in bits 2j of byte 32n + i. They are bits kShift and
// kShift + 1 of the codes; reading adds them to what is there.
template <int kShift>
inline void read_two_bits(const uint8_t* __restrict bytes, uint8_t* __restrict codes) {
  for (int n = 0; n < 2; ++n) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 32; ++i)
        codes[128 * n + 32 * j + i] |= static_cast<uint8_t>((bytes[32 * n + i] >> (2 * j) & 3) << kShift);
    }
  }
}
template <int kShift>
inline void write_two_bits(const uint8_t* __restrict codes, uint8_t* __restrict bytes) {
  for (int n = 0; n < 2; ++n) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 32; ++i)
        bytes[32 * n + i] |= static_cast<uint8_t>((codes[128 * n + 32 * j + i] >> kShift & 3) << (2 * j));
    }
  }
}

// One bit of 256 values in 32 bytes: value 32j + i has bit j of byte i. It is bit kShift of the codes.
template <int kShift>
inline void read_high_bits(const uint8_t* __restrict bytes, uint8_t* __restrict codes) {
  for (int j = 0; j < 8; ++j) {
    for (int i = 0; i < 32; ++i) codes[32 * j + i] |= static_cast<uint8_t>((bytes[i] >> j & 1) << kShift);
  }
}
template <int kShift>
inline void write_high_bits(const uint8_t* __restrict codes, uint8_t* __restrict bytes) {
  for (int j = 0; j < 8; ++j) {
    for (int i = 0; i < 32; ++i) bytes[i] |= static_cast<uint8_t>((codes[32 * j + i] >> kShift & 1) << j);
  }
}

// All codes moved by kBy, and all bits but those of kMask cleared.
template <int kCount, int kBy, int kMask = 0xff>
inline void move_codes(const uint8_t* from, uint8_t* to) {
  for (int i = 0; i < kCount; ++i) to[i] = static_cast<uint8_t>((from[i] + kBy) & kMask);
}

}  // namespace omni
