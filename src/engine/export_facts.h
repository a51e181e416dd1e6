#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors_write.h"
#include "nn/weight_sink.h"

namespace omni {

// A weight of a model that is being written.
struct ExportedWeight : PlannedWeight {
  std::string theirs;                // its name in the checkpoint
  bool whole = true;                 // it is all of that tensor, in its order
  std::vector<std::string> tensors;  // what spells it there
  int64_t bytes_stored = 0;
};
struct ExportedTensor {
  std::string name;  // inside the component, full
  Shape shape;
  DType dtype = DType::kNone;  // as stored
  std::string theirs;
};

// What the walk over headers tells of one component: its own copy, as sources live only as long as the walk.
struct ExportedComponent {
  std::string name;
  std::filesystem::path weights;                // the checkpoint's file or folder
  std::map<std::string, TensorHeader> entries;  // every tensor there; u8 [rows, row bytes] of a block format
  bool has_blocks = false;
  std::vector<std::filesystem::path> files;  // that hold them
  std::vector<NameMap> dialects;
  std::vector<ExportedWeight> linears;
  std::vector<ExportedTensor> tensors;

  const ExportedWeight* find(std::string_view weight) const;
  int64_t bytes() const;  // of all tensors, as stored
  bool any_changed() const;
  bool any_quantized() const;
};

// Components in the order of construction.
class ExportFacts {
 public:
  void add(const WeightSource& source, const PlannedWeight& weight);
  void add(const WeightSource& source, std::string_view name, const Shape& shape);
  const std::vector<ExportedComponent>& components() const { return components_; }
  const ExportedComponent* find(std::string_view component) const;

 private:
  ExportedComponent& component(const WeightSource& source);
  std::vector<ExportedComponent> components_;
};

}  // namespace omni
