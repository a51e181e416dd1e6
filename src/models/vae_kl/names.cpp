#include "models/vae_kl/vae_kl.h"

namespace omni {

std::vector<NameMap> vae_kl_names() {
  return {NameMap{"diffusers", "decoder.conv_in.weight", {}}};
}

}  // namespace omni
