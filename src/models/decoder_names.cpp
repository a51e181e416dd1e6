#include "models/decoder_names.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"

namespace omni {
namespace {

// What sets the architectures apart as far as names go.
struct Architecture {
  std::string_view name;
  bool interleaves_heads;    // llama.cpp reorders the rows of q and k for its rotary embedding
  std::string_view experts;  // where a block's experts lie; "" when it has none
};
constexpr std::array<Architecture, 6> kArchitectures = {{
    {"llama", true, "block_sparse_moe"},
    {"qwen2", false, ""},
    {"qwen2moe", false, "mlp"},
    {"qwen2vl", false, ""},
    {"qwen3", false, ""},
    {"qwen3moe", false, "mlp"},
}};

void add_experts(NameMap& map, const std::string& block) {
  const bool mixtral = block == "block_sparse_moe";
  const std::string ours = "model.layers.*." + block + ".", theirs = "blk.*.ffn_";
  map.rules.push_back({.ours = ours + "gate", .theirs = theirs + "gate_inp"});
  for (const auto& [name, mixtral_name, stack] :
       {std::array{"gate_proj", "w1", "gate_exps"}, std::array{"up_proj", "w3", "up_exps"},
        std::array{"down_proj", "w2", "down_exps"}}) {
    map.rules.push_back(
        {.ours = ours + "experts.*." + (mixtral ? mixtral_name : name), .theirs = theirs + stack, .stacked = true});
  }
  if (mixtral) return;
  map.rules.push_back({.ours = ours + "shared_expert_gate", .theirs = theirs + "gate_inp_shexp"});
  for (const char* part : {"gate", "up", "down"}) {
    map.rules.push_back({.ours = ours + "shared_expert." + part + "_proj", .theirs = theirs + part + "_shexp"});
  }
}

}  // namespace

NameMap gguf_decoder_names(std::string_view architecture, int64_t heads, int64_t kv_heads) {
  const auto it = std::ranges::find(kArchitectures, architecture, &Architecture::name);
  if (it == kArchitectures.end()) {
    std::string known;
    for (const std::string& name : gguf_decoder_architectures()) known += (known.empty() ? "" : ", ") + name;
    throw Error("general.architecture", "is '" + std::string(architecture) + "', which has no name map",
                "one of " + known);
  }
  NameMap map{"gguf " + std::string(architecture), "token_embd.weight", {}};
  const auto add = [&](const char* ours, const char* theirs, int64_t rope_heads = 0) {
    map.rules.push_back({.ours = ours, .theirs = theirs, .rope_heads = it->interleaves_heads ? rope_heads : 0});
  };
  add("model.embed_tokens", "token_embd");
  add("model.norm", "output_norm");
  add("lm_head", "output");
  add("model.layers.*.input_layernorm", "blk.*.attn_norm");
  add("model.layers.*.post_attention_layernorm", "blk.*.ffn_norm");
  add("model.layers.*.self_attn.q_proj", "blk.*.attn_q", heads);
  add("model.layers.*.self_attn.k_proj", "blk.*.attn_k", kv_heads);
  add("model.layers.*.self_attn.v_proj", "blk.*.attn_v");
  add("model.layers.*.self_attn.o_proj", "blk.*.attn_output");
  add("model.layers.*.self_attn.q_norm", "blk.*.attn_q_norm");
  add("model.layers.*.self_attn.k_norm", "blk.*.attn_k_norm");
  add("model.layers.*.mlp.gate_proj", "blk.*.ffn_gate");
  add("model.layers.*.mlp.up_proj", "blk.*.ffn_up");
  add("model.layers.*.mlp.down_proj", "blk.*.ffn_down");
  if (!it->experts.empty()) add_experts(map, std::string(it->experts));
  return map;
}

std::vector<std::string> gguf_decoder_architectures() {
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  return names;
}

}  // namespace omni
