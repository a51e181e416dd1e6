#include "nn/scope.h"

#include <algorithm>
#include <cassert>
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

Scope::Scope(LoadContext& context, WeightSource& source) : context_(&context), source_(&source) {
  if (context.mode == LoadMode::kPlan && context.check_values) source.check_small();
}

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

struct Scope::Part {
  std::string name;  // inside the component
  int64_t out = 0;
  StoredWeight stored;
  Decision decision;

  // The scheme the weight will have; not quantized: floats of weight_float.
  QuantScheme scheme() const {
    switch (decision.action) {
      case Action::kKeep:
        return stored.scheme;
      case Action::kDequantize:
        return {};
      case Action::kQuantize:
      case Action::kRequantize:
        return decision.target;
    }
    return {};
  }
  DType weight_float(DType compute) const {
    if (scheme().quantized()) return DType::kNone;
    return decision.action == Action::kKeep ? stored.float_dtype : compute;
  }
};

LedgerRow Scope::describe_part(const std::string& name, const StoredWeight& stored, Role role,
                               const Decision& decision) const {
  LedgerRow row{.component = source_->component(),
                .path = source_->component() + "." + name,
                .rows = stored.rows,
                .cols = stored.cols,
                .role = role,
                .stored = stored_text(stored),
                .rule = decision.rule,
                .bytes_stored = stored.bytes};
  const bool quantize = decision.action == Action::kQuantize || decision.action == Action::kRequantize;
  row.target = decision.action == Action::kKeep ? row.stored
               : quantize                       ? decision.target.text()
                                                : std::string(dtype_name(context_->exec->compute));
  row.quantized = quantize;
  if (quantize) require_fit(decision.target, stored.cols, row.path);
  return row;
}

Weight Scope::load_part(const std::string& name, const StoredWeight& stored, const Decision& decision,
                        LedgerRow& row) const {
  Weight weight = source_->weight(name, stored.rows, stored.cols);
  if (decision.action == Action::kKeep) return weight;
  ThreadPool* pool = context_->exec->pool;
  const Tensor values = decode(weight, pool);
  if (!row.quantized) return float_weight(cast(values, context_->exec->compute));
  Weight target = encode(values, decision.target, row.path, pool);
  row.error = relative_error(values, target, pool);
  return target;
}

namespace {

// Parts become one matrix when nothing of theirs differs that one matrix can have only once.
bool joinable(const QuantScheme& a, const QuantScheme& b, int64_t rows_before) {
  const bool own_columns = a.ordered || a.smooth || a.low_rank != 0;
  const bool cuts_block = (a.scale.group.rows > 1 && rows_before % a.scale.group.rows != 0) ||
                          (a.outer_scale.group.rows > 1 && rows_before % a.outer_scale.group.rows != 0);
  return a == b && !own_columns && !cuts_block;
}

}  // namespace

// A kernel that multiplies the scheme as it is; failing that, one for the dequantized matrix: a fallback.
struct Scope::Road {
  KernelChoice choice;
  LinearProblem problem;
  bool dequantized = false;
};

Scope::Road Scope::find_road(LinearProblem problem, const std::string& path) const {
  Road road{find_linear_kernel(problem), problem};
  if (!problem.scheme.quantized() || (road.choice.kernel != nullptr && !road.choice.kernel->is_reference())) {
    if (road.choice.kernel == nullptr) road.choice = choose_linear_kernel(problem, path);  // throws, naming all reasons
    return road;
  }
  problem.weight_float = problem.compute;
  problem.scheme = {};
  Road floats{choose_linear_kernel(problem, path), problem, true};
  if (road.choice.kernel != nullptr && floats.choice.kernel->is_reference()) return road;
  floats.choice.refusals = std::move(road.choice.refusals);
  return floats;
}

void Scope::load_group(std::span<const Part> parts, Role role, Linear& linear) const {
  Exec& exec = *context_->exec;
  const int64_t in = parts[0].stored.cols;
  int64_t out = 0;
  for (const Part& part : parts) out += part.out;
  const std::string first = source_->component() + "." + parts[0].name;
  const Road road = find_road(LinearProblem{.scheme = parts[0].scheme(),
                                            .weight_float = parts[0].weight_float(exec.compute),
                                            .n = out,
                                            .k = in,
                                            .compute = exec.compute,
                                            .device = exec.device},
                              first);
  const int64_t packed_bytes = road.choice.kernel->packed_bytes(road.problem);
  std::vector<LedgerRow> rows;
  for (const Part& part : parts) {
    LedgerRow row = describe_part(part.name, part.stored, role, part.decision);
    row.kernel = road.choice.kernel->name();
    row.refusals = road.choice.refusals;
    row.dequantized = road.dequantized;
    row.fallback = road.choice.kernel->is_reference() || road.dequantized;
    row.bytes_packed = packed_bytes * part.out / out;
    if (row.fallback && context_->strict == Strict::kYes) {
      throw Error(row.path,
                  road.dequantized ? "no kernel multiplies " + row.target + " here: it would be dequantized at load"
                                   : "only the reference kernel multiplies " + row.target + " here",
                  "another scheme, or no --strict");
    }
    // The mapped pages and the packed matrix; f32 values and canonical codes too when it changes on the way.
    const bool changes = part.decision.action != Action::kKeep || road.dequantized;
    const int64_t live = part.stored.bytes + packed_bytes + (changes ? part.out * in * 4 + packed_bytes : 0);
    context_->ledger->largest_load = std::max(context_->ledger->largest_load, live);
    rows.push_back(std::move(row));
  }
  if (context_->mode == LoadMode::kPlan && context_->sink != nullptr) {
    for (const Part& part : parts) tell_sink(part);
  }
  if (context_->mode == LoadMode::kExport) {
    for (size_t i = 0; i < parts.size(); ++i) hand_to_sink(parts[i], rows[i]);
  }
  if (context_->mode == LoadMode::kLoad) linear.add(road.choice.kernel, packed(parts, road, rows), out);
  for (LedgerRow& row : rows) context_->ledger->rows.push_back(std::move(row));
}

Weight Scope::packed(std::span<const Part> parts, const Road& road, std::span<LedgerRow> rows) const {
  Exec& exec = *context_->exec;
  // Only what takes time is worth the disk: stored floats and codes are packed as fast as a cache entry is read.
  const bool costly = road.dequantized || parts[0].decision.action != Action::kKeep;
  PackCache* cache = costly && !source_->is_dummy() ? context_->pack_cache : nullptr;
  std::optional<PackCache::Key> key;
  int64_t out = 0;
  for (const Part& part : parts) out += part.out;
  if (cache != nullptr) {
    key = cache_key(parts, road);
    if (std::optional<PackCache::Entry> entry = cache->find(*key, out, parts[0].stored.cols)) {
      for (size_t i = 0; i < rows.size() && i < entry->errors.size(); ++i) rows[i].error = entry->errors[i];
      for (const Part& part : parts) {
        source_->release(part.name);
        advance(part.stored.bytes);
      }
      return std::move(entry->weight);
    }
  }
  std::vector<Weight> weights;
  for (size_t i = 0; i < parts.size(); ++i) {
    weights.push_back(load_part(parts[i].name, parts[i].stored, parts[i].decision, rows[i]));
    if (parts[i].decision.action != Action::kKeep) source_->release(parts[i].name);
    advance(parts[i].stored.bytes);
  }
  Weight canonical = weights.size() == 1 ? std::move(weights[0]) : concat_rows(weights, rows[0].path);
  weights.clear();
  if (road.dequantized) canonical = float_weight(cast(decode(canonical, exec.pool), exec.compute));
  Weight packed = road.choice.kernel->pack(exec, canonical);
  for (const Part& part : parts) source_->release(part.name);
  if (cache != nullptr) {
    PackCache::Entry entry{std::move(packed), {}};
    for (const LedgerRow& row : rows) entry.errors.push_back(row.error);
    cache->store(*key, entry);
    packed = std::move(entry.weight);
  }
  return packed;
}

PackCache::Key Scope::cache_key(std::span<const Part> parts, const Road& road) const {
  PackCache::Key key;
  key.add(road.choice.kernel->name());
  key.add(road.problem.scheme.text());
  key.add(dtype_name(road.problem.compute));
  for (const Part& part : parts) {
    key.add(stored_text(part.stored));
    key.add(part.scheme().text());
    key.add(std::to_string(part.out) + " x " + std::to_string(part.stored.cols));
    source_->visit_bytes(part.name, [&](std::span<const std::byte> bytes) { key.add(bytes); });
  }
  return key;
}

void Scope::advance(int64_t bytes) const {
  context_->bytes_done += bytes;
  if (context_->progress) context_->progress(context_->bytes_done);
}

void Scope::tell_sink(const Part& part) const {
  context_->sink->plan_weight(*source_, {.name = part.name,
                                         .rows = part.stored.rows,
                                         .cols = part.stored.cols,
                                         .scheme = part.scheme(),
                                         .floats = part.weight_float(context_->exec->compute),
                                         .changed = part.decision.action != Action::kKeep});
}

void Scope::hand_to_sink(const Part& part, LedgerRow& row) const {
  if (!context_->sink->wants(*source_, part.name)) return;
  context_->sink->take(*source_, part.name, load_part(part.name, part.stored, part.decision, row));
  source_->release(part.name);
}

Linear Scope::merged_linear(const std::vector<std::string>& names, const std::vector<int64_t>& outs, int64_t in,
                            Bias bias, Role role) const {
  assert(names.size() == outs.size() && !names.empty());
  std::vector<Part> parts(names.size());
  std::vector<QuantPlan::Part> wishes(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    parts[i] = Part{full(names[i]), outs[i], source_->describe(full(names[i]), outs[i], in), {}};
    wishes[i] = {source_->component() + "." + parts[i].name,
                 Stored(parts[i].stored.scheme, std::string(source_->method())),
                 {source_->checkpoint_name(parts[i].name)}};
  }
  std::vector<Decision> decisions = context_->plan->merged_target(wishes, role);
  for (size_t i = 0; i < names.size(); ++i) parts[i].decision = std::move(decisions[i]);

  Tensor bias_values;
  if (bias == Bias::kYes) bias_values = merged_bias(parts);
  Linear linear(std::move(bias_values), context_->exec->compute, in);
  for (size_t begin = 0, end = 0; begin < parts.size(); begin = end) {
    int64_t rows = 0;
    const auto fits = [&](const Part& part) {
      const DType compute = context_->exec->compute;
      return joinable(parts[begin].scheme(), part.scheme(), rows) &&
             parts[begin].weight_float(compute) == part.weight_float(compute);
    };
    for (end = begin; end < parts.size() && (end == begin || fits(parts[end])); ++end) rows += parts[end].out;
    load_group(std::span(parts).subspan(begin, end - begin), role, linear);
  }
  return context_->mode == LoadMode::kLoad ? std::move(linear) : Linear();
}

Tensor Scope::merged_bias(std::span<const Part> parts) const {
  std::vector<Tensor> values;
  int64_t out = 0;
  for (const Part& part : parts) {
    values.push_back(parameter(part.name + ".bias", Shape{part.out}, DType::kF32));
    out += part.out;
  }
  if (context_->mode != LoadMode::kLoad) return {};
  Tensor joined(DType::kF32, Shape{out});
  float* to = joined.f32();
  for (const Tensor& part : values) to = std::copy_n(part.f32(), part.shape().count(), to);
  return joined;
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
  if (context_->mode == LoadMode::kPlan && context_->sink != nullptr) {
    context_->sink->plan_tensor(*source_, name, shape);
  }
  if (context_->mode == LoadMode::kExport) context_->sink->take_tensor(*source_, name, shape);
  if (context_->mode != LoadMode::kLoad) return {};
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
  if (context_->mode != LoadMode::kLoad) return {};
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
