#include "models/llm/llm.h"

namespace omni {
namespace {

// Names of GGUF files, "blk.3.attn_q.weight". Llama's q and k have the rows of each head interleaved there.
std::vector<NameRule> gguf_rules(const LlmConfig& c) {
  const bool interleaved = c.architecture == "LlamaForCausalLM";
  const std::string attention = "layers.*.self_attn.", mlp = "layers.*.mlp.";
  return {
      NameRule{.ours = "embed_tokens", .theirs = "token_embd"},
      NameRule{.ours = attention + "k_norm", .theirs = "blk.*.attn_k_norm"},
      NameRule{.ours = attention + "k_proj", .theirs = "blk.*.attn_k", .rope_heads = interleaved ? c.kv_heads : 0},
      NameRule{.ours = attention + "o_proj", .theirs = "blk.*.attn_output"},
      NameRule{.ours = attention + "q_norm", .theirs = "blk.*.attn_q_norm"},
      NameRule{.ours = attention + "q_proj", .theirs = "blk.*.attn_q", .rope_heads = interleaved ? c.heads : 0},
      NameRule{.ours = attention + "v_proj", .theirs = "blk.*.attn_v"},
      NameRule{.ours = "layers.*.input_layernorm", .theirs = "blk.*.attn_norm"},
      NameRule{.ours = mlp + "down_proj", .theirs = "blk.*.ffn_down"},
      NameRule{.ours = mlp + "experts.*.down_proj", .theirs = "blk.*.ffn_down_exps", .stacked = true},
      NameRule{.ours = mlp + "experts.*.gate_proj", .theirs = "blk.*.ffn_gate_exps", .stacked = true},
      NameRule{.ours = mlp + "experts.*.up_proj", .theirs = "blk.*.ffn_up_exps", .stacked = true},
      NameRule{.ours = mlp + "gate", .theirs = "blk.*.ffn_gate_inp"},
      NameRule{.ours = mlp + "gate_proj", .theirs = "blk.*.ffn_gate"},
      NameRule{.ours = mlp + "up_proj", .theirs = "blk.*.ffn_up"},
      NameRule{.ours = "layers.*.post_attention_layernorm", .theirs = "blk.*.ffn_norm"},
      NameRule{.ours = "lm_head", .theirs = c.tied ? "token_embd" : "output"},
      NameRule{.ours = "norm", .theirs = "output_norm"},
  };
}

}  // namespace

std::vector<NameMap> Llm::names(const LlmConfig& c) {
  NameMap gguf{"gguf", "output_norm.weight", gguf_rules(c)};
  NameMap transformers{"transformers",
                       "model.norm.weight",
                       {
                           NameRule{.ours = "", .theirs = "model"},
                           NameRule{.ours = "lm_head", .theirs = c.tied ? "model.embed_tokens" : "lm_head"},
                       }};
  NameMap bare{"transformers (no prefix)", "norm.weight", {}};
  if (c.tied) bare.rules.push_back(NameRule{.ours = "lm_head", .theirs = "embed_tokens"});
  return {std::move(gguf), std::move(transformers), std::move(bare)};
}

}  // namespace omni
