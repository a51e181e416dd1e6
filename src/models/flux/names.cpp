#include <array>

#include "models/flux/flux.h"

namespace omni {

std::span<const NameMap> FluxTransformer::names() {
  static constexpr std::array kMaps = {NameMap{"diffusers", "x_embedder.weight", {}}};
  return kMaps;
}

}  // namespace omni
