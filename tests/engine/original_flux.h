#pragma once
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "support/support.h"

namespace omni::testing {

// One below the other.
inline Tensor below(const std::vector<Tensor>& parts) {
  int64_t rows = 0, bytes = 0;
  for (const Tensor& part : parts) rows += part.shape()[0];
  const Shape shape = parts[0].shape().rank() == 1 ? Shape{rows} : Shape{rows, parts[0].cols()};
  Tensor out(parts[0].dtype(), shape);
  for (const Tensor& part : parts) {
    std::copy_n(part.raw(), part.bytes(), out.raw() + bytes);
    bytes += part.bytes();
  }
  return out;
}

// The tensors of flux-tiny's transformer as Black Forest Labs name and join them.
class OriginalFlux {
 public:
  OriginalFlux() {
    linear("img_in", {"x_embedder"});
    linear("txt_in", {"context_embedder"});
    for (const auto& [theirs, ours] :
         {std::pair{"time_in", "timestep_embedder"}, std::pair{"vector_in", "text_embedder"},
          std::pair{"guidance_in", "guidance_embedder"}}) {
      linear(std::string(theirs) + ".in_layer", {std::string("time_text_embed.") + ours + ".linear_1"});
      linear(std::string(theirs) + ".out_layer", {std::string("time_text_embed.") + ours + ".linear_2"});
    }
    for (const std::string i : {"0", "1"}) {
      const std::string d = "transformer_blocks." + i + ".", t = "double_blocks." + i + ".";
      linear(t + "img_mod.lin", {d + "norm1.linear"});
      linear(t + "txt_mod.lin", {d + "norm1_context.linear"});
      linear(t + "img_attn.qkv", {d + "attn.to_q", d + "attn.to_k", d + "attn.to_v"});
      linear(t + "txt_attn.qkv", {d + "attn.add_q_proj", d + "attn.add_k_proj", d + "attn.add_v_proj"});
      linear(t + "img_attn.proj", {d + "attn.to_out.0"});
      linear(t + "txt_attn.proj", {d + "attn.to_add_out"});
      linear(t + "img_mlp.0", {d + "ff.net.0.proj"});
      linear(t + "img_mlp.2", {d + "ff.net.2"});
      linear(t + "txt_mlp.0", {d + "ff_context.net.0.proj"});
      linear(t + "txt_mlp.2", {d + "ff_context.net.2"});
      add(t + "img_attn.norm.query_norm.scale", {d + "attn.norm_q.weight"});
      add(t + "img_attn.norm.key_norm.scale", {d + "attn.norm_k.weight"});
      add(t + "txt_attn.norm.query_norm.scale", {d + "attn.norm_added_q.weight"});
      add(t + "txt_attn.norm.key_norm.scale", {d + "attn.norm_added_k.weight"});
      const std::string s = "single_transformer_blocks." + i + ".", u = "single_blocks." + i + ".";
      linear(u + "modulation.lin", {s + "norm.linear"});
      linear(u + "linear1", {s + "attn.to_q", s + "attn.to_k", s + "attn.to_v", s + "proj_mlp"});
      linear(u + "linear2", {s + "proj_out"});
      add(u + "norm.query_norm.scale", {s + "attn.norm_q.weight"});
      add(u + "norm.key_norm.scale", {s + "attn.norm_k.weight"});
    }
    linear("final_layer.linear", {"proj_out"});
    linear("final_layer.adaLN_modulation.1", {"norm_out.linear"});
    for (NamedTensor& named : tensors) {  // shift before scale, where diffusers has scale before shift
      if (!named.name.starts_with("final_layer.adaLN")) continue;
      const int64_t half = named.tensor.shape()[0] / 2;
      const Tensor rows = named.tensor.reshaped(Shape{2 * half, named.tensor.shape().count() / (2 * half)});
      named.tensor = below({rows.row_range(half, half), rows.row_range(0, half)}).reshaped(named.tensor.shape());
    }
  }
  std::vector<NamedTensor> tensors;

 private:
  void add(const std::string& name, const std::vector<std::string>& ours) {
    std::vector<Tensor> parts;
    for (const std::string& part : ours) parts.push_back(file_->tensor(part));
    tensors.push_back({name, below(parts)});
  }
  void linear(const std::string& name, const std::vector<std::string>& ours) {
    for (const char* end : {".weight", ".bias"}) {
      std::vector<std::string> names;
      for (const std::string& part : ours) names.push_back(part + end);
      add(name + end, names);
    }
  }
  std::unique_ptr<Checkpoint> file_ = open_safetensors(golden("flux-tiny/transformer"));
};

}  // namespace omni::testing
