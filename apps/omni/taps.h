#pragma once
#include <filesystem>
#include <string>

#include "tensor/exec.h"

namespace omni::cli {

// Writes every tapped tensor whose name matches a glob as DIR/NAME.npy, "step3.transformer.velocity.npy" during denoise
// steps.
class TapWriter final : public Tap {
 public:
  TapWriter(std::filesystem::path folder, std::string filter);  // makes the folder; throws Error
  void record(std::string_view path, int64_t step, const Tensor& tensor) override;

 private:
  std::filesystem::path folder_;
  std::string filter_;
};

}  // namespace omni::cli
