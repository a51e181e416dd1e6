#include <array>

#include "models/clip/clip.h"

namespace omni {

std::span<const NameMap> ClipTextEncoder::names() {
  static constexpr std::array kPrefixed = {
      NameMap::Rule{"embeddings", "text_model.embeddings"},
      NameMap::Rule{"encoder", "text_model.encoder"},
      NameMap::Rule{"final_layer_norm", "text_model.final_layer_norm"},
  };
  static constexpr std::array kMaps = {
      NameMap{"transformers", "embeddings.token_embedding.weight", {}},
      NameMap{"transformers (text_model)", "text_model.embeddings.token_embedding.weight", kPrefixed},
  };
  return kMaps;
}

}  // namespace omni
