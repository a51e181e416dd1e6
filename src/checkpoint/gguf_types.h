#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/weight.h"

namespace omni {

// ggml's tensor types by the numbers that GGUF files hold. Block formats are drawn in docs/formats.md.
enum class GgmlType : int {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
};

struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;       // ggml's: "Q4_K"
  int block_values;            // along a row; 1 for plain values
  int block_bytes;             // of so many values
  DType dtype = DType::kNone;  // of plain values; kNone: blocks, or a scalar (I16, F64) that DType lacks
  QuantScheme scheme = {};     // what blocks are read to; not quantized for plain values
};

std::span<const GgmlTypeInfo> ggml_types();  // by number
const GgmlTypeInfo* find_ggml_type(int number);
const GgmlTypeInfo* find_ggml_type(std::string_view name);  // any case
const GgmlTypeInfo& ggml_type_info(GgmlType type);
// For messages, also of numbers that no file should hold: "Q4_K", "Q4_0_4_4, which ggml removed", "type 999".
std::string ggml_type_text(int number);

// The type whose blocks hold this scheme exactly (the scheme's range of small scales allowing: see to_gguf_blocks), or
// that of a float weight's values; nullopt when ggml has none.
std::optional<GgmlType> ggml_type_of(const QuantScheme& scheme);
std::optional<GgmlType> ggml_type_of(const Weight& weight);

// A canonical weight as ggml stores it: u8 [rows, bytes of a row]. Exact, or an Error naming where, row and column: a
// number that the blocks cannot hold (a 7-bit scale for Q4_K's 6), a row that is not of whole blocks. Of NVFP4 the
// factor of the whole matrix is no part of the blocks: gguf_scale says what to store beside them.
Tensor to_gguf_blocks(const Weight& weight, GgmlType type, std::string_view where = "GGUF");

// What NAME.scale must hold beside NAME.weight: f32 [1], for a two-level NVFP4 weight; else empty.
Tensor gguf_scale(const Weight& weight);

}  // namespace omni
