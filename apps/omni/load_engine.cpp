#include "load_engine.h"

#include <utility>

#include "terminal.h"

namespace omni::cli {

std::unique_ptr<Engine> load_engine(ModelOptions options, bool quiet) {
  ProgressBar bar("loading", quiet);
  options.progress = [&bar](int64_t done, int64_t total) {
    constexpr int64_t kMegabyte = 1'000'000;
    bar.update((done + kMegabyte - 1) / kMegabyte, (total + kMegabyte - 1) / kMegabyte);
  };
  return std::make_unique<Engine>(options);
}

}  // namespace omni::cli
