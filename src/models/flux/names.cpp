#include "models/flux/flux.h"

namespace omni {

std::vector<NameMap> FluxTransformer::names(const FluxConfig&) {
  return {NameMap{"diffusers", "x_embedder.weight", {}}};
}

}  // namespace omni
