#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace omni {

// The quant_state of one 4-bit bitsandbytes weight (NAME.weight.quant_state.bitsandbytes__nf4, JSON in bytes): codes
// lie two a byte, high nibble first, in blocks over the flattened matrix, with one absmax each.
struct BnbState {
  std::string tensor;  // that holds it
  DType codes = DType::kNF4;
  int64_t rows = 0, cols = 0, block = 64;
  bool nested = false;  // absmax is u8: nested_quant_map[absmax] * nested_absmax[i / nested_block] + nested_offset
  int64_t nested_block = 0;
  float nested_offset = 0;
  int64_t blocks() const { return (rows * cols + block - 1) / block; }
};

// nullopt when the weight has none. Throws Error for one that says what cannot be.
std::optional<BnbState> read_bnb_state(const Checkpoint& checkpoint, std::string_view weight);

}  // namespace omni
