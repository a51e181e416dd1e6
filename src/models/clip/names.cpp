#include "models/clip/clip.h"

namespace omni {

std::vector<NameMap> ClipTextEncoder::names() {
  return {
      NameMap{"transformers", "embeddings.token_embedding.weight", {}},
      NameMap{"transformers (text_model)",
              "text_model.embeddings.token_embedding.weight",
              {
                  NameRule{"embeddings", "text_model.embeddings"},
                  NameRule{"encoder", "text_model.encoder"},
                  NameRule{"final_layer_norm", "text_model.final_layer_norm"},
              }},
  };
}

}  // namespace omni
