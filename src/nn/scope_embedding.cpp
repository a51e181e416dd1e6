#include <algorithm>
#include <utility>

#include "nn/scope.h"
#include "quant/codec.h"

namespace omni {

Embedding Scope::embedding(std::string_view name, int64_t rows, int64_t cols, Role role) const {
  const std::string path = full(name);
  const StoredWeight stored = source_->describe(path, rows, cols);
  const QuantPlan::Part wish{source_->component() + "." + path,
                             Stored(stored.scheme, std::string(source_->method())),
                             {source_->checkpoint_name(path)}};
  const Decision decision = context_->plan->merged_target(std::span(&wish, 1), role).front();
  LedgerRow row = describe_part(path, stored, role, decision);
  const LinearProblem problem{
      .scheme = row.quantized                      ? decision.target
                : decision.action == Action::kKeep ? stored.scheme
                                                   : QuantScheme{},
      .weight_float = decision.action == Action::kKeep ? stored.float_dtype : context_->exec->compute,
      .n = rows,
      .k = cols};
  row.bytes_packed = linear_kernels().back()->packed_bytes(problem);  // the reference keeps the canonical form
  context_->ledger->largest_load = std::max(context_->ledger->largest_load, row.bytes_packed);
  WeightSink* sink = context_->sink;
  if (context_->mode == LoadMode::kPlan && sink != nullptr) {
    sink->plan_weight(*source_, {.name = path,
                                 .rows = rows,
                                 .cols = cols,
                                 .scheme = problem.scheme,
                                 .floats = problem.weight_float,
                                 .changed = decision.action != Action::kKeep});
  }
  Embedding table;
  const bool exported = context_->mode == LoadMode::kExport && sink->wants(*source_, path);
  if (context_->mode == LoadMode::kLoad || exported) {
    Weight weight = source_->weight(path, rows, cols);
    if (decision.action != Action::kKeep) {
      ThreadPool* pool = context_->exec->pool;
      const Tensor values = decode(weight, pool);
      weight = row.quantized ? encode(values, decision.target, row.path, pool)
                             : float_weight(cast(values, context_->exec->compute));
      row.error = row.quantized ? relative_error(values, weight, pool) : 0;
    }
    row.bytes_packed = weight.bytes();
    if (exported) sink->take(*source_, path, weight);
    if (context_->mode == LoadMode::kLoad) table = Embedding(std::move(weight));
  }
  context_->ledger->rows.push_back(std::move(row));
  return table;
}

}  // namespace omni
