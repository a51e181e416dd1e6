#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "quant/plan.h"

namespace omni {

// What became of one weight (a merged linear writes a row a part). Source of `omni plan`, memory reports and
// /v1/models.
struct LedgerRow {
  std::string component, path;  // path begins with the component
  int64_t rows = 0, cols = 0;
  Role role = Role::kOrdinary;
  std::string stored, target;         // "bf16", or a scheme's text form
  std::string rule;                   // the rule that decided; "" when none reached it
  std::string kernel;                 // "" for weights no linear kernel multiplies (norms, embeddings, convolutions)
  std::vector<std::string> refusals;  // better kernels, with why they declined
  int64_t bytes_stored = 0, bytes_packed = 0;
  double error = 0;          // relative error of online quantization; 0 when none or not yet loaded
  bool quantized = false;    // the plan changed its numbers
  bool dequantized = false;  // no kernel multiplies its scheme: floats in memory
  bool fallback = false;     // a slower road than the wish: reported, an error with --strict
};

struct ComponentTotal {
  std::string component;
  int64_t weights = 0, quantized = 0, kept_sensitive = 0, fallbacks = 0;
  int64_t bytes_stored = 0, bytes_packed = 0;
};

// All rows in the order of construction. Owned by the pipeline; complete once the model is constructed.
struct Ledger {
  std::vector<LedgerRow> rows;
  int64_t largest_load =
      0;  // bytes of the largest single weight while it was (or would be) packed: mapped, f32, canonical and packed

  int64_t cache_hits = 0, cache_misses = 0;  // of the pack cache, matrices

  std::vector<ComponentTotal> totals() const;  // a component each, in order of first appearance
  int64_t packed_bytes() const;
};

}  // namespace omni
