#include "checkpoint/weight_source.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "checkpoint/dummy.h"
#include "checkpoint/open_stored.h"
#include "quant/codec.h"

namespace omni {
namespace {

constexpr std::string_view kSuffix = ".weight";

std::string_view without_suffix(std::string_view name) {
  return name.substr(0, name.size() - kSuffix.size());
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// True when prefix is the whole of name or ends where a segment of it ends.
bool whole_segments(std::string_view name, std::string_view prefix) {
  return prefix.empty() || name == prefix || (name.starts_with(prefix) && name[prefix.size()] == '.');
}

NameMap choose_map(const Checkpoint& checkpoint, std::vector<NameMap> maps, const std::string& component) {
  std::string known;
  for (NameMap& map : maps) {
    if (map.marker.empty() || checkpoint.find(map.marker) != nullptr) return std::move(map);
    known += (known.empty() ? "" : ", ") + map.dialect + " (has " + map.marker + ")";
  }
  if (maps.empty()) return {};
  const std::string architecture = checkpoint.metadata("general.architecture");
  const std::string kind = architecture.empty() ? "" : "the architecture is '" + architecture + "', and ";
  throw Error(checkpoint.where(), kind + "its tensor names are of no dialect that " + component + " knows",
              "one of " + known);
}

std::string_view next_segment(std::string_view& text) {
  const size_t dot = text.find('.');
  const std::string_view segment = text.substr(0, dot);
  text = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  return segment;
}

// What the stars of ours stand for in name, and the rest of name behind it; nullopt: no match.
struct RuleMatch {
  std::vector<std::string_view> stars;
  std::string_view rest;
};
std::optional<RuleMatch> match_rule(std::string_view ours, std::string_view name) {
  if (ours.find('*') == std::string_view::npos) {
    if (!whole_segments(name, ours)) return std::nullopt;
    std::string_view rest = name.substr(ours.size());
    if (rest.starts_with('.')) rest.remove_prefix(1);
    return RuleMatch{{}, rest};
  }
  RuleMatch match;
  while (!ours.empty()) {
    if (name.empty()) return std::nullopt;
    const std::string_view want = next_segment(ours), got = next_segment(name);
    if (want == "*") {
      match.stars.push_back(got);
    } else if (want != got) {
      return std::nullopt;
    }
  }
  match.rest = name;
  return match;
}

// theirs with its stars filled in, and the rest.
std::string fill(std::string_view theirs, const RuleMatch& match) {
  std::string out;
  size_t star = 0;
  for (const char c : theirs) {
    if (c == '*') {
      out += match.stars.at(star++);
    } else {
      out += c;
    }
  }
  if (!out.empty() && !match.rest.empty()) out += '.';
  return out + std::string(match.rest);
}

// Rows of a tensor in another order.
Tensor reorder(const Tensor& tensor, const std::vector<int64_t>& from) {
  Tensor out(tensor.dtype(), tensor.shape());
  const int64_t row_bytes = out.bytes() / static_cast<int64_t>(from.size());
  for (size_t i = 0; i < from.size(); ++i)
    std::copy_n(tensor.raw() + from[i] * row_bytes, row_bytes, out.raw() + static_cast<int64_t>(i) * row_bytes);
  return out;
}

}  // namespace

std::vector<int64_t> row_order(const NameRule& rule, int64_t rows) {
  std::vector<int64_t> from(static_cast<size_t>(rows));
  std::iota(from.begin(), from.end(), int64_t{0});
  if (rule.swap_halves) std::rotate(from.begin(), from.begin() + rows / 2, from.end());
  if (rule.rope_heads > 0) {
    const int64_t head = rows / rule.rope_heads;
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t in_head = i % head;  // our i + half * d/2 is their 2i + half
      from[static_cast<size_t>(i)] = i - in_head + (in_head % (head / 2)) * 2 + in_head / (head / 2);
    }
  }
  return from;
}

NamePlace place_name(const NameMap& map, std::string_view name) {
  const NameRule* best = nullptr;
  std::optional<RuleMatch> best_match;
  for (const NameRule& rule : map.rules) {
    if (best != nullptr && rule.ours.size() <= best->ours.size()) continue;
    std::optional<RuleMatch> match = match_rule(rule.ours, name);
    if (!match) continue;
    best = &rule;
    best_match = std::move(match);
  }
  if (best == nullptr) return {std::string(name), {}, -1};
  NamePlace place{"", *best, -1};
  if (best->stacked) {
    assert(!best_match->stars.empty());
    const std::string_view digits = best_match->stars.back();
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), place.stack);
    const bool whole = failed == std::errc() && end == digits.data() + digits.size() && place.stack >= 0;
    if (!whole) place.stack = std::numeric_limits<int64_t>::max();  // in no stack
  }
  place.name = fill(best->theirs, *best_match);
  return place;
}

WeightSource::WeightSource(std::string component, std::unique_ptr<Checkpoint> checkpoint, const JsonObject& config,
                           std::vector<NameMap> maps)
    : component_(std::move(component)), checkpoint_(std::move(checkpoint)) {
  assert(checkpoint_ != nullptr);
  StoredCheckpoint stored = open_stored(*checkpoint_, config);
  encoding_ = stored.parts[0].encoding;
  stored_ = std::move(stored.weights);
  dialects_ = maps;
  map_ = choose_map(*checkpoint_, std::move(maps), component_);
  check_headers(*checkpoint_, *stored_);
}

WeightSource WeightSource::dummy(std::string component, uint64_t seed) {
  WeightSource source;
  source.component_ = std::move(component);
  source.seed_ = seed;
  return source;
}

std::string WeightSource::checkpoint_name(std::string_view name) const {
  return place(name).name;
}

std::string_view WeightSource::method() const {
  return stored_ == nullptr ? std::string_view() : stored_->method();
}

std::string WeightSource::where(std::string_view name) const {
  if (is_dummy()) return "dummy weights: " + component_ + "." + std::string(name);
  const std::string mapped = place(name).name;
  for (const std::string& full : {mapped, mapped + std::string(kSuffix)}) {
    const Checkpoint::Entry* entry = checkpoint_->find(full);
    if (entry != nullptr) return entry->file.string() + ": " + full;
  }
  return checkpoint_->where() + ": " + mapped;
}

// How many matrices the tensor stacks that holds at; 1 when it is one of its own.
int64_t WeightSource::stack_count(const Place& at, const StoredWeight& stored, int64_t rows) const {
  const Checkpoint::Entry* entry = checkpoint_->find(at.name + std::string(kSuffix));
  if (entry != nullptr && entry->shape.rank() == 3) return entry->shape[0];
  return at.stack >= 0 ? stored.rows / std::max<int64_t>(rows, 1) : 1;
}

StoredWeight WeightSource::describe(std::string_view name, int64_t rows, int64_t cols) const {
  if (is_dummy()) return {{}, DType::kBF16, rows, cols, storage_bytes(DType::kBF16, rows * cols), {}};
  const Place at = place(name);
  std::optional<StoredWeight> stored = stored_->describe(at.name);
  const std::string wanted = "a weight of shape " + Shape{at.their_rows(rows), cols}.text();
  if (!stored) throw Error(checkpoint_->where() + ": " + at.name + std::string(kSuffix), "is missing", wanted);
  const int64_t count = stack_count(at, *stored, rows);  // a stack is described as one matrix of all its rows
  if (at.stack < 0 ? count != 1 : at.stack >= count) {
    throw Error(where(name), count == 1 ? "is one matrix" : "is a stack of " + std::to_string(count),
                at.stack < 0 ? "one matrix" : "a stack that holds " + std::string(name));
  }
  const bool fits = stored->rows == at.their_rows(rows) * count && stored->cols == cols;
  if (!fits || (at.rule.rows > 0 && at.rule.rows != rows)) {
    throw Error(where(name), "is of shape " + Shape{stored->rows / count, stored->cols}.text(), wanted);
  }
  read_.insert(stored->tensors.begin(), stored->tensors.end());
  if (at.is_part()) stored->bytes = stored->bytes * rows / std::max<int64_t>(stored->rows, 1);
  stored->rows = rows;
  return *stored;
}

Weight WeightSource::weight(std::string_view name, int64_t rows, int64_t cols) {
  if (is_dummy()) return float_weight(dummy_matrix(seed_, component_ + "." + std::string(name), rows, cols));
  (void)describe(name, rows, cols);
  const Place at = place(name);
  const int64_t begin = at.stack >= 0 ? at.stack * rows : at.rule.row;
  Weight weight = at.is_part() ? stored_->read_rows(at.name, begin, rows) : stored_->read(at.name);
  if (at.reorders()) weight = permute_rows(weight, row_order(at.rule, rows), where(name));
  return weight;
}

DType WeightSource::describe_tensor(std::string_view name, Shape shape) {
  if (is_dummy()) return DType::kBF16;
  if (is_quantized_table(name, shape)) {
    (void)describe(without_suffix(name), shape[0], shape[1]);
    return DType::kF32;
  }
  const Place at = place(name);
  const Checkpoint::Entry* entry = checkpoint_->find(at.name);
  Shape theirs = at.rule.rows > 0 ? Shape{at.rule.of_rows} : shape;
  if (at.stack >= 0 && shape.rank() == 1) {
    const int64_t count = entry != nullptr && entry->shape.rank() == 2 ? entry->shape[0] : 0;
    theirs = Shape{std::max(count, at.stack == std::numeric_limits<int64_t>::max() ? 1 : at.stack + 1), shape[0]};
  }
  const std::string wanted = "a float tensor of shape " + theirs.text();
  if (entry == nullptr) throw Error(checkpoint_->where() + ": " + at.name, "is missing", wanted);
  const bool fits = entry->shape == theirs && (at.rule.rows == 0 || shape == Shape{at.rule.rows}) &&
                    at.stack != std::numeric_limits<int64_t>::max();
  if (!fits) throw Error(where(name), "is of shape " + entry->shape.text(), wanted);
  if (!is_float(entry->dtype)) {
    throw Error(where(name), "is of dtype " + std::string(dtype_name(entry->dtype)), "f32, f16 or bf16");
  }
  read_.insert(at.name);
  return entry->dtype;
}

// True for a matrix that is read as a tensor (an embedding) and that the checkpoint quantized.
bool WeightSource::is_quantized_table(std::string_view name, const Shape& shape) const {
  if (shape.rank() != 2 || !name.ends_with(kSuffix)) return false;
  const std::string full = place(name).name;
  const Checkpoint::Entry* entry = checkpoint_->find(full);
  if ((entry != nullptr && is_float(entry->dtype)) || !full.ends_with(kSuffix)) return false;
  const std::optional<StoredWeight> stored = stored_->describe(without_suffix(full));
  return stored && stored->scheme.quantized();
}

Tensor WeightSource::stored_tensor(std::string_view name, Shape shape) {
  const DType dtype = describe_tensor(name, shape);
  return cast(tensor(name, shape), dtype);
}

Tensor WeightSource::tensor(std::string_view name, Shape shape) {
  if (is_dummy()) return dummy_tensor(seed_, component_ + "." + std::string(name), shape);
  (void)describe_tensor(name, shape);
  if (is_quantized_table(name, shape)) return decode(weight(without_suffix(name), shape[0], shape[1]));
  const Place at = place(name);
  Tensor values = to_f32(checkpoint_->tensor(at.name));
  if (at.is_part()) {
    Tensor part(DType::kF32, shape);
    const int64_t begin = at.rule.rows > 0 ? at.rule.row : at.stack * shape[0];
    std::copy_n(values.f32() + begin, shape.count(), part.f32());
    values = std::move(part);
  }
  return at.reorders() ? reorder(values, row_order(at.rule, shape[0])) : values;
}

void WeightSource::visit_bytes(std::string_view name, FunctionRef<void(std::span<const std::byte>)> visit) const {
  assert(!is_dummy());
  const Place at = place(name);
  const std::optional<StoredWeight> stored = stored_->describe(at.name);
  if (!stored) return;
  const std::string part = std::string(encoding_->name()) + " " + std::to_string(at.rule.row) + " " +
                           std::to_string(at.rule.rows) + " " + std::to_string(at.stack) + " " +
                           std::to_string(at.rule.rope_heads) + (at.rule.swap_halves ? " swapped" : "");
  visit(std::as_bytes(std::span(part)));
  for (const std::string& tensor : stored->tensors) {
    const Tensor bytes = checkpoint_->tensor(tensor);
    visit({bytes.raw(), static_cast<size_t>(bytes.bytes())});
  }
}

void WeightSource::release(std::string_view name) const {
  if (is_dummy()) return;
  const std::optional<StoredWeight> stored = stored_->describe(place(name).name);
  if (!stored) return;
  for (const std::string& tensor : stored->tensors) checkpoint_->release(tensor);
}

bool WeightSource::has(std::string_view name) const {
  if (is_dummy()) return false;
  const std::string full = place(name).name;
  if (checkpoint_->find(full) != nullptr) return true;
  return full.ends_with(kSuffix) && stored_->describe(without_suffix(full)).has_value();
}

std::optional<Shape> WeightSource::shape(std::string_view name) const {
  if (is_dummy()) return std::nullopt;
  const Place at = place(name);
  if (const Checkpoint::Entry* entry = checkpoint_->find(at.name); entry != nullptr) {
    if (at.rule.rows > 0) return Shape{at.rule.rows};
    return at.stack >= 0 && entry->shape.rank() == 2 ? Shape{entry->shape[1]} : entry->shape;
  }
  const std::optional<StoredWeight> stored = stored_->describe(at.name);
  if (!stored) return std::nullopt;
  if (at.rule.rows > 0) return Shape{at.rule.rows, stored->cols};
  const int64_t count = stack_count(at, *stored, stored->rows);  // of a stack that is no single tensor: not known
  return Shape{stored->rows / count, stored->cols};
}

void WeightSource::check_small() const {
  if (!is_dummy() && !checked_) (void)check_small_values(*stored_);
  checked_ = true;
}

std::vector<std::string> WeightSource::unread() const {
  std::vector<std::string> out;
  if (is_dummy()) return out;
  for (std::string& name : checkpoint_->names()) {
    if (!read_.contains(name)) out.push_back(std::move(name));
  }
  return out;
}

}  // namespace omni
