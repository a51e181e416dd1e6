#include <array>

#include "models/vae_kl/vae_kl.h"

namespace omni {

std::span<const NameMap> vae_kl_names() {
  static constexpr std::array kMaps = {NameMap{"diffusers", "decoder.conv_in.weight", {}}};
  return kMaps;
}

}  // namespace omni
