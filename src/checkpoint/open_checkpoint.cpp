#include "checkpoint/checkpoint.h"

namespace omni {

std::unique_ptr<Checkpoint> open_checkpoint(const std::filesystem::path& path) {
  return open_safetensors(path);
}

}  // namespace omni
