#include "engine/export_facts.h"

#include <algorithm>

#include "base/error.h"

namespace omni {

const ExportedWeight* ExportedComponent::find(std::string_view weight) const {
  const auto it = std::ranges::find(linears, weight, &ExportedWeight::name);
  return it == linears.end() ? nullptr : &*it;
}

int64_t ExportedComponent::bytes() const {
  int64_t sum = 0;
  for (const auto& [name, header] : entries) sum += header.bytes();
  return sum;
}

bool ExportedComponent::any_changed() const {
  return std::ranges::any_of(linears, &ExportedWeight::changed);
}

bool ExportedComponent::any_quantized() const {
  return std::ranges::any_of(linears, [](const ExportedWeight& w) { return w.scheme.quantized(); });
}

const ExportedComponent* ExportFacts::find(std::string_view component) const {
  const auto it = std::ranges::find(components_, component, &ExportedComponent::name);
  return it == components_.end() ? nullptr : &*it;
}

ExportedComponent& ExportFacts::component(const WeightSource& source) {
  const auto it = std::ranges::find(components_, source.component(), &ExportedComponent::name);
  if (it != components_.end()) return *it;
  const Checkpoint* checkpoint = source.checkpoint();
  if (checkpoint == nullptr) {
    throw usage_error("--load-format", "is dummy, and dummy weights cannot be written", "auto");
  }
  ExportedComponent& out = components_.emplace_back();
  out.name = source.component();
  out.weights = checkpoint->where();
  out.dialects = source.dialects();
  for (const std::string& name : checkpoint->names()) {
    const Checkpoint::Entry& entry = *checkpoint->find(name);
    out.has_blocks = out.has_blocks || entry.dtype == DType::kNone;
    const Tensor bytes = entry.dtype == DType::kNone ? checkpoint->tensor(name) : Tensor();
    out.entries[name] =
        bytes.empty() ? TensorHeader{name, entry.dtype, entry.shape} : TensorHeader{name, bytes.dtype(), bytes.shape()};
    if (std::ranges::find(out.files, entry.file) == out.files.end()) out.files.push_back(entry.file);
  }
  return out;
}

void ExportFacts::add(const WeightSource& source, const PlannedWeight& weight) {
  ExportedComponent& to = component(source);
  if (to.find(weight.name) != nullptr) return;  // a table used twice
  const StoredWeight stored = source.describe(weight.name, weight.rows, weight.cols);
  ExportedWeight& out = to.linears.emplace_back();
  static_cast<PlannedWeight&>(out) = weight;
  out.theirs = source.checkpoint_name(weight.name);
  out.whole = source.place(weight.name).is_whole();
  out.tensors = stored.tensors;
  out.bytes_stored = stored.bytes;
}

void ExportFacts::add(const WeightSource& source, std::string_view name, const Shape& shape) {
  ExportedComponent& to = component(source);
  if (std::ranges::find(to.tensors, name, &ExportedTensor::name) != to.tensors.end()) return;
  const std::string theirs = source.checkpoint_name(name);
  const auto entry = to.entries.find(theirs);
  const DType stored = entry == to.entries.end() ? DType::kNone : entry->second.dtype;
  const bool is_float = stored == DType::kF16 || stored == DType::kBF16;
  to.tensors.push_back({std::string(name), shape, is_float ? stored : DType::kF32, theirs});
}

}  // namespace omni
