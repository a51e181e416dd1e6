#include "nn/scope.h"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "ops/ops.h"
#include "quant/codec.h"

namespace omni {
namespace {

std::string stored_text(const StoredWeight& stored) {
  return stored.scheme.quantized() ? stored.scheme.text() : std::string(dtype_name(stored.float_dtype));
}

// A scale group or a pair of 4-bit codes must not be cut by the end of a row.
void require_fit(const QuantScheme& scheme, int64_t in, const std::string& path) {
  for (const ScaleSpec* spec : {&scheme.scale, &scheme.outer_scale}) {
    const int group = spec->dtype == DType::kNone ? 0 : spec->group.cols;
    if (group != 0 && in % group != 0) {
      throw Error(path,
                  "K = " + std::to_string(in) + " is not a multiple of " + scheme.text() + "'s group of " +
                      std::to_string(group),
                  "a scheme with a group that divides K, or the layer in ignored_layers");
    }
  }
  if (dtype_info(scheme.codes).storage_bits == 4 && in % 2 != 0) {
    throw Error(path, "K = " + std::to_string(in) + " is odd, which 4-bit codes cannot store",
                "an even K, or the layer in ignored_layers");
  }
}

}  // namespace

Scope::Scope(LoadContext& context, WeightSource& source) : context_(&context), source_(&source) {}

Scope Scope::operator/(std::string_view part) const {
  Scope child = *this;
  child.prefix_ = full(part);
  return child;
}

std::string Scope::full(std::string_view name) const {
  return prefix_.empty() ? std::string(name) : prefix_ + "." + std::string(name);
}

std::string Scope::path() const {
  return prefix_.empty() ? source_->component() : source_->component() + "." + prefix_;
}

Linear Scope::linear(std::string_view name, int64_t in, int64_t out, Bias bias, Role role) const {
  return merged_linear({std::string(name)}, {out}, in, bias, role);
}

Weight Scope::load_part(const std::string& name, int64_t out, int64_t in, Role role, const Decision& decision,
                        LedgerRow& row) const {
  const StoredWeight stored = source_->describe(name, out, in);
  row = LedgerRow{.component = source_->component(),
                  .path = source_->component() + "." + name,
                  .rows = out,
                  .cols = in,
                  .role = role,
                  .stored = stored_text(stored),
                  .rule = decision.rule,
                  .bytes_stored = stored.bytes};
  const bool quantize = decision.action == Action::kQuantize || decision.action == Action::kRequantize;
  row.target = decision.action == Action::kKeep ? row.stored
               : quantize                       ? decision.target.text()
                                                : std::string(dtype_name(context_->exec->compute));
  row.quantized = quantize;
  if (quantize) require_fit(decision.target, in, row.path);
  if (context_->mode == LoadMode::kPlan) return {};

  Weight weight = source_->weight(name, out, in);
  if (decision.action == Action::kKeep) return weight;
  const Tensor values = decode(weight);
  if (!quantize) return float_weight(cast(values, context_->exec->compute));
  Weight target = encode(values, decision.target, row.path, context_->exec->pool);
  row.error = relative_error(values, target);
  return target;
}

Linear Scope::merged_linear(const std::vector<std::string>& names, const std::vector<int64_t>& outs, int64_t in,
                            Bias bias, Role role) const {
  assert(names.size() == outs.size() && !names.empty());
  std::vector<std::string> paths;
  for (const std::string& name : names) paths.push_back(source_->component() + "." + full(name));
  const StoredWeight first = source_->describe(full(names[0]), outs[0], in);
  const Decision decision = context_->plan->merged_target(paths, first.scheme, role);
  const int64_t out = std::accumulate(outs.begin(), outs.end(), int64_t{0});

  std::vector<LedgerRow> rows(names.size());
  std::vector<Weight> parts(names.size());
  for (size_t i = 0; i < names.size(); ++i) parts[i] = load_part(full(names[i]), outs[i], in, role, decision, rows[i]);

  LinearProblem problem{.n = out, .k = in, .compute = context_->exec->compute, .device = context_->exec->device};
  switch (decision.action) {
    case Action::kKeep:
      problem.scheme = first.scheme;
      problem.weight_float = first.float_dtype;
      break;
    case Action::kDequantize:
      problem.weight_float = context_->exec->compute;
      break;
    case Action::kQuantize:
    case Action::kRequantize:
      problem.scheme = decision.target;
      break;
  }
  const KernelChoice choice = choose_linear_kernel(problem, paths[0]);
  const int64_t packed = choice.kernel->packed_bytes(problem);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].kernel = choice.kernel->name();
    rows[i].refusals = choice.refusals;
    rows[i].fallback = choice.kernel->is_reference();
    rows[i].bytes_packed = packed * outs[i] / out;
    if (rows[i].fallback && context_->strict == Strict::kYes) {
      throw Error(rows[i].path, "only the reference kernel multiplies " + rows[i].target + " here",
                  "another scheme, or no --strict");
    }
    context_->ledger->largest_load = std::max(context_->ledger->largest_load, outs[i] * in * 4 + packed);
    context_->ledger->rows.push_back(std::move(rows[i]));
  }
  Tensor bias_values;
  if (bias == Bias::kYes) {
    std::vector<Tensor> values;
    for (size_t i = 0; i < names.size(); ++i)
      values.push_back(parameter(full(names[i]) + ".bias", Shape{outs[i]}, DType::kF32));
    if (context_->mode == LoadMode::kLoad) {
      bias_values = Tensor(DType::kF32, Shape{out});
      float* to = bias_values.f32();
      for (const Tensor& part : values) to = std::copy_n(part.f32(), part.shape().count(), to);
    }
  }
  if (context_->mode == LoadMode::kPlan) return {};
  const Weight canonical = parts.size() == 1 ? std::move(parts[0]) : concat_rows(parts, paths[0]);
  parts.clear();
  Weight weight = choice.kernel->pack(*context_->exec, canonical);
  return Linear(choice.kernel, std::move(weight), std::move(bias_values), context_->exec->compute, in, out);
}

Tensor Scope::parameter(std::string_view name, Shape shape, DType kept_as) const {
  const DType stored = source_->describe_tensor(name, shape);
  if (kept_as == DType::kNone) kept_as = stored;
  context_->ledger->rows.push_back(LedgerRow{.component = source_->component(),
                                             .path = source_->component() + "." + std::string(name),
                                             .rows = shape[0],
                                             .cols = shape[0] == 0 ? 0 : shape.count() / shape[0],
                                             .role = Role::kNever,
                                             .stored = std::string(dtype_name(stored)),
                                             .target = std::string(dtype_name(kept_as)),
                                             .bytes_stored = storage_bytes(stored, shape.count()),
                                             .bytes_packed = storage_bytes(kept_as, shape.count())});
  if (context_->mode == LoadMode::kPlan) return {};
  return kept_as == DType::kF32 ? source_->tensor(name, shape) : source_->stored_tensor(name, shape);
}

Conv Scope::conv(std::string_view name, int64_t c_in, int64_t c_out, int kernel, int stride) const {
  return load_conv(name, ConvShape{.c_in = c_in, .c_out = c_out, .kernel = kernel, .stride = stride});
}

Conv Scope::upsample_conv(std::string_view name, int64_t c_in, int64_t c_out) const {
  return load_conv(name, ConvShape{.c_in = c_in, .c_out = c_out, .upsample = 2});
}

Conv Scope::load_conv(std::string_view name, const ConvShape& shape) const {
  const std::string base = full(name);
  const Tensor values =
      parameter(base + ".weight", Shape{shape.c_out, shape.c_in, shape.kernel, shape.kernel}, DType::kF32);
  const size_t row = context_->ledger->rows.size() - 1;
  const Tensor bias = parameter(base + ".bias", Shape{shape.c_out}, DType::kF32);
  Exec& exec = *context_->exec;
  context_->ledger->rows[row].target = dtype_name(exec.compute);
  const int64_t taps = shape.upsample == 2 ? 4 * 4 : shape.kernel * shape.kernel;  // 4 taps for each of 4 parities
  context_->ledger->rows[row].bytes_packed = storage_bytes(exec.compute, shape.c_out * shape.c_in * taps);
  if (context_->mode == LoadMode::kPlan) return {};
  Weight packed = shape.upsample == 2 ? ops::pack_upsample_conv(exec, values) : ops::pack_conv(exec, values);
  context_->ledger->rows[row].bytes_packed = packed.bytes();
  return Conv(std::move(packed), bias, shape);
}

Tensor Scope::vector(std::string_view name, int64_t size) const {
  return parameter(full(name), Shape{size}, DType::kF32);
}

Tensor Scope::table(std::string_view name, int64_t rows, int64_t cols) const {
  return parameter(full(name) + ".weight", Shape{rows, cols}, DType::kNone);
}

}  // namespace omni
