#pragma once
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/open_stored.h"

namespace omni::cli {

// One component of what `omni inspect` looks at: a checkpoint and what its metadata says of it.
struct InspectPart {
  std::string component;  // "" for a file or a component's own folder
  std::unique_ptr<Checkpoint> checkpoint;
  JsonObject config;
  StoredCheckpoint stored;

  std::string path(const std::string& name) const { return component.empty() ? name : component + "." + name; }
};

// A file, a component's folder, or every component with weights of a pipeline's folder. Headers are checked.
std::vector<InspectPart> open_parts(const std::string& name);

// A weight, or a tensor that is part of none.
struct InspectRow {
  std::string name;       // inside the component; of a weight without ".weight"
  std::string stored;     // a scheme's text or a dtype
  std::string ggml_type;  // of blocks and of scalars that only GGUF has
  Shape shape;
  int64_t bytes = 0;
  bool is_weight = false, quantized = false, is_float = true;
  std::vector<std::string> tensors;
};
std::vector<InspectRow> inspect_rows(const InspectPart& part);  // weights first, each list sorted

struct InspectKvScales {
  std::string attention;
  KvScales scales;
};
std::vector<InspectKvScales> inspect_kv_scales(const InspectPart& part);

// One weight or tensor as f32. name: the checkpoint's own, with or without ".weight", or ours where the model has a
// name map; with its component in a pipeline. Throws Error with the closest names when there is none.
Tensor decode_by_name(const std::vector<InspectPart>& parts, const std::string& name);

}  // namespace omni::cli
