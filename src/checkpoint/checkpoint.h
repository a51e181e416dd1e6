#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace omni {

// A container: named byte ranges and metadata, memory-mapped. Knows no quantization. Immutable after opening, so that
// any thread may read. Opening throws Error naming file, tensor, expected and found; a damaged file never opens.
class Checkpoint {
 public:
  struct Entry {
    DType dtype = DType::kNone;  // kNone: a block format, block_type says which
    Shape shape;
    std::filesystem::path file;
    int block_type = -1;  // GGUF: ggml's number of a block format
  };
  virtual ~Checkpoint() = default;
  virtual const Entry* find(std::string_view name) const = 0;  // null when there is no such tensor
  // Looks into the map; throws Error when missing. Of a block format: its bytes, u8 [rows, bytes of a row].
  virtual Tensor tensor(std::string_view name) const = 0;
  virtual void release(std::string_view name) const;   // its mapped pages may leave memory; they come back when read
  virtual std::vector<std::string> names() const = 0;  // sorted
  virtual std::string metadata(std::string_view key) const = 0;          // "" when there is none
  virtual std::vector<std::string> metadata_keys() const { return {}; }  // sorted
  virtual std::string where() const = 0;                                 // file or folder, for messages
};

// A .safetensors file, an index (*.safetensors.index.json), or a folder that holds one index, a file by the name that
// libraries give it (model.safetensors, diffusion_pytorch_model.safetensors), or one .safetensors file.
// Shards named by an index must lie in its folder. Limits: header 100 MiB, rank 5, dimensions' product within the file.
std::unique_ptr<Checkpoint> open_safetensors(const std::filesystem::path& path);

// A component's weights, whatever the container: a folder (safetensors as above, else one GGUF file, split or not), a
// .safetensors, index or .gguf file.
std::unique_ptr<Checkpoint> open_checkpoint(const std::filesystem::path& path);

// Writes tensors (contiguous, any dtype safetensors has) as one file, whole or not at all.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata = {});

// A NumPy .npy file (format 1.0, C order). bf16 and the small floats are refused on writing; read accepts f32, i32,
// i64, u8.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);
Tensor read_npy(const std::filesystem::path& path);

}  // namespace omni
