#include "models/t5/t5.h"

namespace omni {

std::vector<NameMap> T5Encoder::names() {
  return {
      NameMap{"transformers", "shared.weight", {}},
      NameMap{"transformers (encoder.embed_tokens)",
              "encoder.embed_tokens.weight",
              {NameRule{"shared", "encoder.embed_tokens"}}},
  };
}

}  // namespace omni
