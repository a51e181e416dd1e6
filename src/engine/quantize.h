#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "nn/ledger.h"
#include "omni/engine.h"

namespace omni {

// What `omni quantize` shall do.
struct QuantizeOptions {
  ModelOptions model;
  std::filesystem::path out;
  std::string format;  // "": the first that can hold every scheme
  bool force = false;  // replace what is at out
  int64_t shard_bytes = 5'000'000'000;
};

struct QuantizedWeight {
  std::string path, stored, target;
  int64_t rows = 0, cols = 0, bytes_before = 0, bytes_after = 0;
  double error = 0;  // relative, of this rounding
};
struct QuantizeResult {
  std::string format;
  std::filesystem::path path;                 // what was written: a folder or a file
  std::vector<QuantizedWeight> weights;       // those that were written in another form than they were stored in
  std::vector<std::string> components;        // that were rewritten
  std::vector<std::string> notes;             // what a reader will miss
  int64_t bytes_before = 0, bytes_after = 0;  // of the rewritten components' tensors
};

// Every format by name, with a line of what reads it.
struct QuantizeFormat {
  std::string_view name, what;
};
std::vector<QuantizeFormat> quantize_formats();

// Writes the model with its weights as the plan wants them: the same plan and codecs as loading. Output appears under
// its name when it is whole, or not at all. progress: weights done and all; what it throws stops the work and leaves
// nothing. Throws Error.
QuantizeResult quantize_model(const QuantizeOptions& options, FunctionRef<void(int64_t done, int64_t all)> progress);

}  // namespace omni
