#pragma once
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/new_file.h"
#include "tensor/tensor.h"

namespace omni {

// A tensor that will be written: all but its values.
struct TensorHeader {
  std::string name;
  DType dtype = DType::kNone;
  Shape shape;
  int64_t bytes() const { return storage_bytes(dtype, shape.count()); }
};

using TextPairs = std::vector<std::pair<std::string, std::string>>;

// Safetensors written value by value: every tensor is declared first, then each one's bytes are given once, in any
// order, straight to disk. Beyond shard_bytes (0: no limit) it becomes STEM-0000i-of-0000n.safetensors with an index.
// Files get their names when kept, or never. Used by one thread; throws Error naming file and tensor.
class SafetensorsWriter {
 public:
  struct Options {
    TextPairs metadata;
    int64_t shard_bytes = 0;
  };
  // path: the file when there is one shard (".safetensors" is its extension).
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorHeader> tensors, const Options& options);

  // bytes: as many as the declared dtype and shape take.
  void write(std::string_view name, std::span<const std::byte> bytes);
  bool has(std::string_view name) const;         // written already
  void keep();                                   // every tensor has been written
  int64_t bytes() const { return data_bytes_; }  // of all tensors

 private:
  struct Place {
    size_t shard = 0;
    int64_t begin = 0, bytes = 0;
    bool written = false;
  };
  void add_shard(const std::filesystem::path& path, std::span<const TensorHeader> tensors, const TextPairs& metadata);
  void write_index(const std::vector<std::string>& names);
  std::filesystem::path path_;
  struct File {
    NewFile file;
    size_t bytes;
    File(const std::filesystem::path& path, size_t size) : file(path), bytes(size) {}
  };
  std::deque<File> files_;  // shards, then the index
  std::map<std::string, Place, std::less<>> places_;
  int64_t data_bytes_ = 0;
};

}  // namespace omni
