#pragma once
#include <memory>

#include "omni/engine.h"

namespace omni::cli {

// An engine of these options, with a bar on stderr while its weights load (megabytes of the checkpoint).
std::unique_ptr<Engine> load_engine(ModelOptions options, bool quiet);

}  // namespace omni::cli
