#include "checkpoint/gguf_blocks.h"

#include <algorithm>
#include <array>

#include "checkpoint/gguf_runs.h"

// Blocks of 16 to 256 values with one level of scales, and the list of all. Layouts are drawn in docs/formats.md.
namespace omni {
namespace {

constexpr std::string_view kTernaryCode = "a ternary code beyond -1, 0 and 1";

// Bit i belongs to value i.
void put_high_bit(uint8_t* bytes, int i, int value) {
  bytes[i / 8] |= static_cast<uint8_t>((value & 1) << (i % 8));
}

void read_fifth_bits(const uint8_t* bytes, uint8_t* codes) {
  for (int k = 0; k < 4; ++k) {
    const auto& masks = kBitMasks[bytes[k]];
    for (size_t i = 0; i < 8; ++i) codes[8 * k + static_cast<int>(i)] |= masks[i] & 0x10;
  }
}

// ggml adds its minimum, a canonical weight subtracts: the same f16 with the other sign.
void copy_negated(std::byte* to, const std::byte* from) {
  to[0] = from[0];
  to[1] = from[1] ^ std::byte{0x80};
}
const std::byte* as_bytes(const uint8_t* block) {
  return reinterpret_cast<const std::byte*>(block);
}
std::byte* as_bytes(uint8_t* block) {
  return reinterpret_cast<std::byte*>(block);
}

// d | nibbles [16], read as code ^ kFlip: Q4_0 stores code + 8, IQ4_NL the index itself.
template <int kFlip>
std::string_view unpack_nibbles(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 2);
  read_nibbles<16, 32>(block + 2, out.codes);
  for (int i = 0; i < 32; ++i) out.codes[i] ^= kFlip;
  return "";
}
template <int kFlip>
std::string_view pack_nibbles(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 2);
  write_nibbles<16, 32>(in.codes, block + 2);
  for (int i = 0; i < 16; ++i) block[2 + i] ^= kFlip * 17;  // both nibbles
  return "";
}

// d | m | nibbles [16]
std::string_view unpack_q4_1(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 2);
  copy_negated(out.zeros, as_bytes(block + 2));
  read_nibbles<16, 32>(block + 4, out.codes);
  return "";
}
std::string_view pack_q4_1(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 2);
  copy_negated(as_bytes(block + 2), in.zeros);
  write_nibbles<16, 32>(in.codes, block + 4);
  return "";
}

// d | fifth bits [4] | nibbles [16]; code + 16
std::string_view unpack_q5_0(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 2);
  read_nibbles<16, 32>(block + 6, out.codes);
  read_fifth_bits(block + 2, out.codes);
  move_codes<32, -16>(out.codes, out.codes);
  return "";
}
std::string_view pack_q5_0(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 2);
  uint8_t codes[32];
  move_codes<32, 16>(in.codes, codes);
  write_nibbles<16, 32>(codes, block + 6);
  for (int i = 0; i < 32; ++i) put_high_bit(block + 2, i, codes[i] >> 4);
  return "";
}

// d | m | fifth bits [4] | nibbles [16]
std::string_view unpack_q5_1(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 2);
  copy_negated(out.zeros, as_bytes(block + 2));
  read_nibbles<16, 32>(block + 8, out.codes);
  read_fifth_bits(block + 4, out.codes);
  return "";
}
std::string_view pack_q5_1(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 2);
  copy_negated(as_bytes(block + 2), in.zeros);
  write_nibbles<16, 32>(in.codes, block + 8);
  for (int i = 0; i < 32; ++i) put_high_bit(block + 4, i, in.codes[i] >> 4);
  return "";
}

// d | codes [32]
std::string_view unpack_q8_0(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 2);
  std::memcpy(out.codes, block + 2, 32);
  return "";
}
std::string_view pack_q8_0(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 2);
  std::memcpy(block + 2, in.codes, 32);
  return "";
}

// d as f32 | codes [256] | sums of 16 codes, i16 [16], which follow from the codes
std::string_view unpack_q8_k(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 4);
  std::memcpy(out.codes, block + 4, 256);
  return "";
}
std::string_view pack_q8_k(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 4);
  std::memcpy(block + 4, in.codes, 256);
  for (int g = 0; g < 16; ++g) {
    int16_t sum = 0;
    for (int i = 0; i < 16; ++i) sum = static_cast<int16_t>(sum + static_cast<int8_t>(in.codes[g * 16 + i]));
    std::memcpy(block + 260 + g * 2, &sum, 2);
  }
  return "";
}

// exponent | nibbles [16]
std::string_view unpack_mxfp4(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 1);
  read_nibbles<16, 32>(block + 1, out.codes);
  return "";
}
std::string_view pack_mxfp4(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 1);
  write_nibbles<16, 32>(in.codes, block + 1);
  return "";
}

// unsigned E4M3 scales [4] | nibbles [32], 8 bytes a scale: 8 low ones, then 8 high ones
std::string_view unpack_nvfp4(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 4);
  read_nibbles<8, 64>(block + 4, out.codes);
  return std::any_of(block, block + 4, [](uint8_t scale) { return scale > 0x7f; }) ? "a negative scale" : "";
}
std::string_view pack_nvfp4(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 4);
  write_nibbles<8, 64>(in.codes, block + 4);
  return std::any_of(block, block + 4, [](uint8_t scale) { return scale > 0x7f; }) ? "a negative scale" : "";
}

// d | bits [16]: 1 is d, 0 is -d
std::string_view unpack_q1_0(const uint8_t* block, const BlockParts& out) {
  std::memcpy(out.scales, block, 2);
  for (int k = 0; k < 16; ++k) {
    const auto& masks = kBitMasks[block[2 + k]];
    for (size_t i = 0; i < 8; ++i) out.codes[8 * k + static_cast<int>(i)] = 0xf ^ (masks[i] & 0xe);
  }
  return "";
}
std::string_view pack_q1_0(const ConstBlockParts& in, uint8_t* block) {
  std::memcpy(block, in.scales, 2);
  bool fits = true;
  for (int i = 0; i < 128; ++i) {
    fits = fits && (in.codes[i] == 1 || in.codes[i] == 0xf);
    put_high_bit(block + 2, i, in.codes[i] == 1);
  }
  return fits ? "" : "a code beyond -1 and 1";
}

// Base 3, most significant digit first, as fractions of 256: bytes [48] of 5 digits, [4] of 4 | d. Digit n of byte b is
// the integer part of 3 * frac(b / 256 * 3^n).
std::string_view unpack_tq1_0(const uint8_t* block, const BlockParts& out) {
  constexpr std::array<int, 5> kPowers = {1, 3, 9, 27, 81};
  uint8_t* code = out.codes;
  const auto run = [&](const uint8_t* bytes, int count, size_t digits) {
    for (size_t digit = 0; digit < digits; ++digit) {
      for (int i = 0; i < count; ++i) {
        const int rest = bytes[i] * kPowers[digit] & 0xff;
        *code++ = static_cast<uint8_t>(((rest * 3 >> 8) - 1) & 0xf);
      }
    }
  };
  run(block, 32, 5);
  run(block + 32, 16, 5);
  run(block + 48, 4, 4);
  std::memcpy(out.scales, block + 52, 2);
  return "";
}

// 2 bits [64], of code + 1: value 128n + 32j + l lies in bits 2j of byte 32n + l | d
std::string_view unpack_tq2_0(const uint8_t* block, const BlockParts& out) {
  std::memset(out.codes, 0, 256);
  read_two_bits<0>(block, out.codes);
  const bool ternary = std::none_of(out.codes, out.codes + 256, [](uint8_t bits) { return bits == 3; });
  move_codes<256, -1, 0xf>(out.codes, out.codes);
  std::memcpy(out.scales, block + 64, 2);
  return ternary ? "" : kTernaryCode;
}
std::string_view pack_tq2_0(const ConstBlockParts& in, uint8_t* block) {
  uint8_t codes[256];
  move_codes<256, 1, 0xf>(in.codes, codes);
  const bool ternary = std::all_of(codes, codes + 256, [](uint8_t bits) { return bits < 3; });
  write_two_bits<0>(codes, block);
  std::memcpy(block + 64, in.scales, 2);
  return ternary ? "" : kTernaryCode;
}

constexpr std::array kFormats = {
    BlockFormat{GgmlType::kIQ1_M, unpack_iq1_m},
    BlockFormat{GgmlType::kIQ1_S, unpack_iq1_s},
    BlockFormat{GgmlType::kIQ2_S, unpack_iq2_s},
    BlockFormat{GgmlType::kIQ2_XS, unpack_iq2_xs},
    BlockFormat{GgmlType::kIQ2_XXS, unpack_iq2_xxs},
    BlockFormat{GgmlType::kIQ3_S, unpack_iq3_s},
    BlockFormat{GgmlType::kIQ3_XXS, unpack_iq3_xxs},
    BlockFormat{GgmlType::kIQ4_NL, unpack_nibbles<0>, pack_nibbles<0>},
    BlockFormat{GgmlType::kIQ4_XS, unpack_iq4_xs, pack_iq4_xs},
    BlockFormat{GgmlType::kMXFP4, unpack_mxfp4, pack_mxfp4},
    BlockFormat{GgmlType::kNVFP4, unpack_nvfp4, pack_nvfp4},
    BlockFormat{GgmlType::kQ1_0, unpack_q1_0, pack_q1_0},
    BlockFormat{GgmlType::kQ2_K, unpack_q2_k, pack_q2_k},
    BlockFormat{GgmlType::kQ3_K, unpack_q3_k, pack_q3_k},
    BlockFormat{GgmlType::kQ4_0, unpack_nibbles<8>, pack_nibbles<8>},
    BlockFormat{GgmlType::kQ4_1, unpack_q4_1, pack_q4_1},
    BlockFormat{GgmlType::kQ4_K, unpack_q4_k, pack_q4_k},
    BlockFormat{GgmlType::kQ5_0, unpack_q5_0, pack_q5_0},
    BlockFormat{GgmlType::kQ5_1, unpack_q5_1, pack_q5_1},
    BlockFormat{GgmlType::kQ5_K, unpack_q5_k, pack_q5_k},
    BlockFormat{GgmlType::kQ6_K, unpack_q6_k, pack_q6_k},
    BlockFormat{GgmlType::kQ8_0, unpack_q8_0, pack_q8_0},
    BlockFormat{GgmlType::kQ8_K, unpack_q8_k, pack_q8_k},
    BlockFormat{GgmlType::kTQ1_0, unpack_tq1_0},
    BlockFormat{GgmlType::kTQ2_0, unpack_tq2_0, pack_tq2_0},
};

}  // namespace

const BlockFormat* find_block_format(GgmlType type) {
  const auto found = std::ranges::find(kFormats, type, &BlockFormat::type);
  return found == kFormats.end() ? nullptr : &*found;
}

}  // namespace omni
