#include "taps.h"

#include <fnmatch.h>

#include <utility>

#include "base/error.h"
#include "checkpoint/checkpoint.h"

namespace omni::cli {

TapWriter::TapWriter(std::filesystem::path folder, std::string filter)
    : folder_(std::move(folder)), filter_(std::move(filter)) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) throw Error(folder_.string(), "cannot be made: " + error.message(), "a writable folder");
}

void TapWriter::record(std::string_view path, int64_t step, const Tensor& tensor) {
  const std::string name = step < 0 ? std::string(path) : "step" + std::to_string(step) + "." + std::string(path);
  if (!filter_.empty() && fnmatch(filter_.c_str(), name.c_str(), 0) != 0) return;
  write_npy(folder_ / (name + ".npy"), to_f32(tensor));
}

}  // namespace omni::cli
