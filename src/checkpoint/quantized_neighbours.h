#pragma once
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace omni {

// Tools quantize the projections of one attention or MLP together, or list those they leave in floats. Throws Error
// for a float projection `name` that has a neighbour with a tensor NEIGHBOUR + suffix, by which a quantized one is
// known.
void check_neighbours(const Checkpoint& checkpoint, std::string_view name, std::string_view suffix);

}  // namespace omni
