#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/new_file.h"
#include "checkpoint/gguf_types.h"
#include "checkpoint/gguf_value.h"

namespace omni {

// A tensor announced to a GgufWriter. shape: in our order, [rows, cols].
struct GgufItem {
  std::string name;
  GgmlType type = GgmlType::kF32;
  Shape shape;
};

// Writes one GGUF file (version 3) tensor by tensor, in any order, whole or not at all: without finish() nothing is
// left. Everything is announced first, so that only one tensor need be in memory. Used by one thread.
class GgufWriter {
 public:
  // metadata in the order given. Throws Error for a name twice, an empty one, a row that is not of whole blocks, or a
  // file that cannot be written.
  GgufWriter(const std::filesystem::path& path, const std::vector<std::pair<std::string, GgufValue>>& metadata,
             std::vector<GgufItem> items);
  // bytes: contiguous; blocks (to_gguf_blocks) or plain values, exactly as large as announced.
  void write(std::string_view name, const Tensor& bytes);
  // Throws Error naming a tensor that was not written.
  void finish();

 private:
  struct Place {
    GgufItem item;
    size_t offset = 0, bytes = 0;  // from the start of the file
    bool written = false;
  };
  std::string where_;
  std::map<std::string, Place, std::less<>> places_;
  size_t end_ = 0;
  NewFile file_;
};

// The same at once.
struct GgufTensor {
  GgufItem item;
  Tensor bytes;
};
void write_gguf(const std::filesystem::path& path, const std::vector<std::pair<std::string, GgufValue>>& metadata,
                const std::vector<GgufTensor>& tensors);

}  // namespace omni
