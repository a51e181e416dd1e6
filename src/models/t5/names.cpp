#include "models/t5/t5.h"

namespace omni {

namespace {

// The names that llama.cpp gives an encoder in GGUF files (architectures t5encoder and t5).
NameMap gguf_names() {
  const std::string block = "encoder.block.*.layer.", theirs = "enc.blk.*.";
  NameMap map{"gguf t5", "enc.blk.0.attn_q.weight", {}};
  const auto add = [&](const std::string& ours, const std::string& name) {
    map.rules.push_back({.ours = ours, .theirs = name});
  };
  add("shared", "token_embd");
  add("encoder.final_layer_norm", "enc.output_norm");
  for (const char* part : {"q", "k", "v", "o"}) add(block + "0.SelfAttention." + part, theirs + "attn_" + part);
  add(block + "0.SelfAttention.relative_attention_bias", theirs + "attn_rel_b");
  add(block + "0.layer_norm", theirs + "attn_norm");
  add(block + "1.DenseReluDense.wi_0", theirs + "ffn_gate");
  add(block + "1.DenseReluDense.wi_1", theirs + "ffn_up");
  add(block + "1.DenseReluDense.wo", theirs + "ffn_down");
  add(block + "1.layer_norm", theirs + "ffn_norm");
  return map;
}

}  // namespace

std::vector<NameMap> T5Encoder::names() {
  return {
      NameMap{"transformers", "shared.weight", {}},
      NameMap{"transformers (encoder.embed_tokens)",
              "encoder.embed_tokens.weight",
              {NameRule{"shared", "encoder.embed_tokens"}}},
      gguf_names(),
  };
}

}  // namespace omni
