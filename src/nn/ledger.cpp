#include "nn/ledger.h"

#include <algorithm>

namespace omni {

std::vector<ComponentTotal> Ledger::totals() const {
  std::vector<ComponentTotal> totals;
  for (const LedgerRow& row : rows) {
    auto it = std::find_if(totals.begin(), totals.end(),
                           [&](const ComponentTotal& t) { return t.component == row.component; });
    if (it == totals.end()) it = totals.insert(totals.end(), ComponentTotal{.component = row.component});
    it->weights += 1;
    it->quantized += row.quantized ? 1 : 0;
    it->kept_sensitive += !row.quantized && row.role == Role::kSensitive ? 1 : 0;
    it->fallbacks += row.fallback ? 1 : 0;
    it->bytes_stored += row.bytes_stored;
    it->bytes_packed += row.bytes_packed;
  }
  return totals;
}

int64_t Ledger::packed_bytes() const {
  int64_t sum = 0;
  for (const LedgerRow& row : rows) sum += row.bytes_packed;
  return sum;
}

}  // namespace omni
