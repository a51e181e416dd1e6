#pragma once
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "checkpoint/encoding.h"

namespace omni {

// One line of a NameMap. ours and theirs are whole-segment prefixes ("norm" covers "norm.weight"); `*` stands for one
// segment, and the n-th `*` of theirs is what the n-th of ours stood for. The longest ours that matches decides.
struct NameRule {
  std::string ours, theirs;
  // Ours is rows [row, row + rows) of their tensor of of_rows rows (a fused qkv); rows = 0: all of it.
  int64_t row = 0, rows = 0, of_rows = 0;
  bool swap_halves = false;  // their upper half of rows is our lower half (shift and scale change places)
  int64_t rope_heads = 0;  // > 0: rows of each of so many heads are interleaved (GGUF llama: 2i, 2i + 1 are i, i + d/2)
  bool stacked = false;    // theirs is one [count, rows, cols] tensor, indexed by the last `*` of ours
};

// A model's table from our names to a dialect's; a name no rule covers is the same in both. A model offers several
// dialects, a function of its config; marker is a tensor that only this dialect has.
struct NameMap {
  std::string dialect, marker;
  std::vector<NameRule> rules;
};

// Where one of our names lies in a dialect.
struct NamePlace {
  std::string name;  // their tensor, with what followed ours
  NameRule rule;
  int64_t stack = -1;  // index in a stacked tensor

  // Rows of their tensor that hold `rows` rows of ours.
  int64_t their_rows(int64_t rows) const { return rule.rows > 0 ? rule.of_rows : rows; }
  bool is_part() const { return rule.rows > 0 || stack >= 0; }
  bool reorders() const { return rule.swap_halves || rule.rope_heads > 0; }
  bool is_whole() const { return !is_part() && !reorders(); }  // theirs is ours
};
NamePlace place_name(const NameMap& map, std::string_view name);
// Which row of theirs (of the rows that are ours) each of `rows` rows of ours is.
std::vector<int64_t> row_order(const NameRule& rule, int64_t rows);

// Checkpoint + Encoding + NameMap: "the weight at this path" for one component. The dummy source answers every question
// with seeded random values of the shape asked for. Counts what was read. Used by one thread.
class WeightSource {
 public:
  // component: "transformer". Throws Error when no map's marker is in the checkpoint, naming the dialects there are.
  WeightSource(std::string component, std::unique_ptr<Checkpoint> checkpoint, const JsonObject& config,
               std::vector<NameMap> maps);
  static WeightSource dummy(std::string component, uint64_t seed);

  const std::string& component() const { return component_; }
  bool is_dummy() const { return checkpoint_ == nullptr; }
  std::string where(std::string_view name) const;  // "FILE: TENSOR" for messages

  // name: path inside the component, without ".weight". Shapes are checked: Error with file, tensor, expected, found.
  StoredWeight describe(std::string_view name, int64_t rows, int64_t cols) const;
  Weight weight(std::string_view name, int64_t rows, int64_t cols);
  // A vector or higher tensor as f32 (norm gains, biases, convolutions, embeddings); name with its last part
  // ("norm.weight").
  Tensor tensor(std::string_view name, Shape shape);
  // The same checks without reading; the dtype it is stored in (bf16 for dummies).
  DType describe_tensor(std::string_view name, Shape shape);
  // As tensor(), in the stored dtype: for large tables.
  Tensor stored_tensor(std::string_view name, Shape shape);
  // Every stored byte behind a weight, and which part of them it is: what a cache of it keys on.
  void visit_bytes(std::string_view name, FunctionRef<void(std::span<const std::byte>)> visit) const;
  void release(std::string_view name) const;  // the mapped pages behind a weight may leave memory
  bool has(std::string_view name) const;      // a tensor or weight by its full name; false for dummies
  // What the checkpoint holds there: [rows, cols] of a weight, or a tensor by its full name; nullopt: nothing.
  std::optional<Shape> shape(std::string_view name) const;

  void check_small() const;  // checks every value of a checkpoint that check_small_values finds small; once
  std::vector<std::string> unread() const;  // tensors nobody asked for, sorted
  const Encoding* encoding() const { return encoding_; }
  std::string_view method() const;  // of the stored weights; "" for floats and dummies
  const Checkpoint* checkpoint() const { return checkpoint_.get(); }  // null for dummies
  std::string_view dialect() const { return map_.dialect; }           // "" when there is no map
  const std::vector<NameMap>& dialects() const { return dialects_; }  // every map there is, for writing
  NamePlace place(std::string_view name) const { return place_name(map_, name); }
  // Their name of ours, for lists in checkpoint names ("double_blocks.0.img_attn.qkv").
  std::string checkpoint_name(std::string_view name) const;

 private:
  using Place = NamePlace;
  WeightSource() = default;
  int64_t stack_count(const Place& at, const StoredWeight& stored, int64_t rows) const;
  bool is_quantized_table(std::string_view name, const Shape& shape) const;
  std::string component_;
  std::unique_ptr<Checkpoint> checkpoint_;
  const Encoding* encoding_ = nullptr;
  std::unique_ptr<StoredWeights> stored_;
  NameMap map_;
  std::vector<NameMap> dialects_;
  mutable std::set<std::string, std::less<>> read_;  // describing a weight counts as asking for it
  uint64_t seed_ = 0;
  mutable bool checked_ = false;
};

}  // namespace omni
