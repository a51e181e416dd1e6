#pragma once
#include <string>
#include <vector>

#include "nn/ledger.h"

namespace omni::cli {

// One row for all weights that differ only in numbers of their paths (blocks, experts) and share what a reader looks
// at.
struct PlanGroup {
  std::string path;  // "transformer.blocks.{0..18}.attn.to_q"
  LedgerRow first;
  int64_t count = 0, bytes_stored = 0, bytes_packed = 0;
};
std::vector<PlanGroup> group_rows(const std::vector<LedgerRow>& rows);

// What `omni plan` prints for a reader: grouped weights, totals a component, fallbacks with the kernels that declined,
// memory, rules without effect, tensors nobody reads.
struct PlanText {
  std::vector<std::string> notes, unmatched, unread;
};
std::string plan_text(const Ledger& ledger, const PlanText& more);

}  // namespace omni::cli
