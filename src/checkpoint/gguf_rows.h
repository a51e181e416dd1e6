#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/gguf_blocks.h"

namespace omni {

// Where the parts of each block of a type lie in a canonical weight.
class BlockSteps {
 public:
  explicit BlockSteps(const GgmlTypeInfo& info);
  // Parts of block `block` of row `row`; codes is null: see spread_codes and join_codes.
  BlockParts parts(const Weight& weight, int64_t row, int64_t block) const;

 private:
  int64_t scale_bytes_ = 0, outer_bytes_ = 0;  // of one block; 0: the block has none of its own
};

// Codes of a row, a byte each, from canonical storage and back.
void spread_codes(const Weight& weight, int64_t row, std::span<uint8_t> codes);
void join_codes(std::span<const uint8_t> codes, int64_t row, Weight& weight);

}  // namespace omni
