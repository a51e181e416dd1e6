#include <utility>

#include "models/flux/flux.h"

namespace omni {
namespace {

// Black Forest Labs' own names, as in their single files and in GGUF files. q, k and v are one matrix there; linear1 of
// a single block also holds the MLP's first layer; the last modulation has shift before scale.
NameMap original_names(const FluxConfig& c, std::string dialect, const std::string& root) {
  const int64_t d = c.width;
  NameMap map{std::move(dialect), root + "img_in.weight", {}};
  const auto add = [&](std::string ours, const std::string& theirs, int64_t row = 0, int64_t rows = 0,
                       int64_t of_rows = 0) {
    map.rules.push_back(
        {.ours = std::move(ours), .theirs = root + theirs, .row = row, .rows = rows, .of_rows = of_rows});
  };
  add("x_embedder", "img_in");
  add("context_embedder", "txt_in");
  for (const auto& [ours, theirs] : {std::pair{"timestep_embedder", "time_in"}, std::pair{"text_embedder", "vector_in"},
                                     std::pair{"guidance_embedder", "guidance_in"}}) {
    add(std::string("time_text_embed.") + ours + ".linear_1", std::string(theirs) + ".in_layer");
    add(std::string("time_text_embed.") + ours + ".linear_2", std::string(theirs) + ".out_layer");
  }

  struct Stream {
    std::string theirs, q, k, v, out, q_norm, k_norm, norm, mlp;
  };
  for (const Stream& s : {Stream{"img", "to_q", "to_k", "to_v", "to_out.0", "norm_q", "norm_k", "norm1", "ff"},
                          Stream{"txt", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "norm_added_q",
                                 "norm_added_k", "norm1_context", "ff_context"}}) {
    const std::string ours = "transformer_blocks.*.", theirs = "double_blocks.*." + s.theirs + "_";
    add(ours + "attn." + s.q, theirs + "attn.qkv", 0, d, 3 * d);
    add(ours + "attn." + s.k, theirs + "attn.qkv", d, d, 3 * d);
    add(ours + "attn." + s.v, theirs + "attn.qkv", 2 * d, d, 3 * d);
    add(ours + "attn." + s.out, theirs + "attn.proj");
    add(ours + "attn." + s.q_norm + ".weight", theirs + "attn.norm.query_norm.scale");
    add(ours + "attn." + s.k_norm + ".weight", theirs + "attn.norm.key_norm.scale");
    add(ours + s.norm + ".linear", theirs + "mod.lin");
    add(ours + s.mlp + ".net.0.proj", theirs + "mlp.0");
    add(ours + s.mlp + ".net.2", theirs + "mlp.2");
  }

  const std::string ours = "single_transformer_blocks.*.", theirs = "single_blocks.*.";
  add(ours + "attn.to_q", theirs + "linear1", 0, d, 7 * d);
  add(ours + "attn.to_k", theirs + "linear1", d, d, 7 * d);
  add(ours + "attn.to_v", theirs + "linear1", 2 * d, d, 7 * d);
  add(ours + "proj_mlp", theirs + "linear1", 3 * d, 4 * d, 7 * d);
  add(ours + "proj_out", theirs + "linear2");
  add(ours + "attn.norm_q.weight", theirs + "norm.query_norm.scale");
  add(ours + "attn.norm_k.weight", theirs + "norm.key_norm.scale");
  add(ours + "norm.linear", theirs + "modulation.lin");

  add("norm_out.linear", "final_layer.adaLN_modulation.1");
  map.rules.back().swap_halves = true;
  add("proj_out", "final_layer.linear");
  return map;
}

}  // namespace

std::vector<NameMap> FluxTransformer::names(const FluxConfig& config) {
  return {NameMap{"diffusers", "x_embedder.weight", {}}, original_names(config, "original", ""),
          original_names(config, "original in a whole-model file", "model.diffusion_model.")};
}

}  // namespace omni
