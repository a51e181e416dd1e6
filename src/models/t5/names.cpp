#include <array>

#include "models/t5/t5.h"

namespace omni {

std::span<const NameMap> T5Encoder::names() {
  static constexpr std::array kTied = {NameMap::Rule{"shared", "encoder.embed_tokens"}};
  static constexpr std::array kMaps = {
      NameMap{"transformers", "shared.weight", {}},
      NameMap{"transformers (encoder.embed_tokens)", "encoder.embed_tokens.weight", kTied},
  };
  return kMaps;
}

}  // namespace omni
