#pragma once
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/encoding.h"

namespace omni {

// A model's table from our names to a dialect's: the longest rule whose `ours` is a whole-segment prefix of the name
// replaces it by `theirs`; no rule: the same name. A model offers several dialects; `marker` is a tensor only that one
// has.
struct NameMap {
  struct Rule {
    std::string_view ours, theirs;
  };
  std::string_view dialect;
  std::string_view marker;
  std::span<const Rule> rules;
};

// Checkpoint + Encoding + NameMap: "the weight at this path" for one component. The dummy source answers every question
// with seeded random values of the shape asked for. Counts what was read. Used by one thread.
class WeightSource {
 public:
  // component: "transformer". Throws Error when no map's marker is in the checkpoint, naming the dialects there are.
  WeightSource(std::string component, std::unique_ptr<Checkpoint> checkpoint, const JsonObject& config,
               std::span<const NameMap> maps);
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
  bool has(std::string_view name) const;  // a tensor by its full name; false for dummies

  std::vector<std::string> unread() const;  // tensors nobody asked for, sorted
  const Encoding* encoding() const { return encoding_; }

 private:
  WeightSource() = default;
  std::string map_name(std::string_view name) const;
  std::string component_;
  std::unique_ptr<Checkpoint> checkpoint_;
  const Encoding* encoding_ = nullptr;
  const NameMap* map_ = nullptr;
  mutable std::set<std::string, std::less<>> read_;  // describing a weight counts as asking for it
  uint64_t seed_ = 0;
};

}  // namespace omni
