#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "checkpoint/gguf_types.h"

namespace omni {

// The numbers of one ggml block, in canonical order: codes a byte each (4-bit and smaller ones as nibbles), scales in
// the dtypes of the type's scheme. Pointers to parts that the scheme lacks are null.
struct BlockParts {
  uint8_t* codes;
  std::byte *scales, *zeros, *outer, *outer_zeros;
};
struct ConstBlockParts {
  const uint8_t* codes;
  const std::byte *scales, *zeros, *outer, *outer_zeros;
};

// Reads one block. Returns what is wrong with it ("" when nothing is): numbers that no encoder writes.
using UnpackBlock = std::string_view (*)(const uint8_t* block, const BlockParts& out);
// Writes one block. Returns what cannot be written.
using PackBlock = std::string_view (*)(const ConstBlockParts& in, uint8_t* block);

struct BlockFormat {
  GgmlType type;
  UnpackBlock unpack = nullptr;
  PackBlock pack = nullptr;  // null: only read
};
const BlockFormat* find_block_format(GgmlType type);  // null for plain values

// The codebook types, a file of their own.
std::string_view unpack_iq1_m(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq1_s(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq2_s(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq2_xs(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq2_xxs(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq3_s(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq3_xxs(const uint8_t* block, const BlockParts& out);

// K-quants: their 6-bit scales share bytes.
std::string_view unpack_q2_k(const uint8_t* block, const BlockParts& out);
std::string_view unpack_q3_k(const uint8_t* block, const BlockParts& out);
std::string_view unpack_q4_k(const uint8_t* block, const BlockParts& out);
std::string_view unpack_q5_k(const uint8_t* block, const BlockParts& out);
std::string_view unpack_q6_k(const uint8_t* block, const BlockParts& out);
std::string_view unpack_iq4_xs(const uint8_t* block, const BlockParts& out);
std::string_view pack_q2_k(const ConstBlockParts& in, uint8_t* block);
std::string_view pack_q3_k(const ConstBlockParts& in, uint8_t* block);
std::string_view pack_q4_k(const ConstBlockParts& in, uint8_t* block);
std::string_view pack_q5_k(const ConstBlockParts& in, uint8_t* block);
std::string_view pack_q6_k(const ConstBlockParts& in, uint8_t* block);
std::string_view pack_iq4_xs(const ConstBlockParts& in, uint8_t* block);

}  // namespace omni
