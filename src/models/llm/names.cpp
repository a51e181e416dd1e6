#include "models/decoder_names.h"
#include "models/llm/llm.h"

namespace omni {
namespace {

constexpr std::string_view kPrefix = "model.";

// The names of GGUF files, from the table in transformers' names.
NameMap gguf_names(const LlmConfig& c) {
  NameMap map = gguf_decoder_names(llm_gguf_architecture(c.architecture), c.heads, c.kv_heads);
  for (NameRule& rule : map.rules) {
    if (rule.ours.starts_with(kPrefix)) rule.ours.erase(0, kPrefix.size());
    if (rule.ours == "lm_head" && c.tied) rule.theirs = "token_embd";
  }
  return map;
}

}  // namespace

std::vector<NameMap> Llm::names(const LlmConfig& c) {
  NameMap transformers{"transformers",
                       "model.norm.weight",
                       {
                           NameRule{.ours = "", .theirs = "model"},
                           NameRule{.ours = "lm_head", .theirs = c.tied ? "model.embed_tokens" : "lm_head"},
                       }};
  NameMap bare{"transformers (no prefix)", "norm.weight", {}};
  if (c.tied) bare.rules.push_back(NameRule{.ours = "lm_head", .theirs = "embed_tokens"});
  return {gguf_names(c), std::move(transformers), std::move(bare)};
}

}  // namespace omni
