#include "models/clip/clip.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ops/embed.h"
#include "ops/ops.h"

namespace omni {

ClipConfig ClipConfig::from_json(const JsonObject& config) {
  ClipConfig c;
  const std::string kind = config.string_or("model_type", "clip_text_model");
  if (kind != "clip_text_model") throw Error(config.where() + ": model_type", "is '" + kind + "'", "clip_text_model");
  c.vocab = config.size("vocab_size", 1, 1 << 24);
  c.width = config.size("hidden_size", 8, 1 << 16);
  c.hidden = config.size("intermediate_size", 8, 1 << 18);
  c.layers = config.size("num_hidden_layers", 1, 1024);
  c.heads = config.size("num_attention_heads", 1, 1024);
  c.positions = config.size("max_position_embeddings", 1, 1 << 16);
  c.eps = static_cast<float>(config.number_or("layer_norm_eps", 1e-5));
  c.eos = config.integer_or("eos_token_id", 49407);
  const std::string act = config.string_or("hidden_act", "quick_gelu");
  if (act == "quick_gelu")
    c.act = Act::kQuickGelu;
  else if (act == "gelu")
    c.act = Act::kGeluErf;
  else
    throw Error(config.where() + ": hidden_act", "is '" + act + "'", "quick_gelu or gelu");
  if (c.width % c.heads != 0) {
    throw Error(config.where() + ": num_attention_heads",
                std::to_string(c.heads) + " heads do not divide hidden_size " + std::to_string(c.width), "a divisor");
  }
  return c;
}

ClipLayer::ClipLayer(const Scope& s, const ClipConfig& c)
    : norm1_gain(s.vector("layer_norm1.weight", c.width)),
      norm1_shift(s.vector("layer_norm1.bias", c.width)),
      norm2_gain(s.vector("layer_norm2.weight", c.width)),
      norm2_shift(s.vector("layer_norm2.bias", c.width)),
      qkv((s / "self_attn")
              .merged_linear({"q_proj", "k_proj", "v_proj"}, {c.width, c.width, c.width}, c.width, Bias::kYes)),
      out((s / "self_attn").linear("out_proj", c.width, c.width, Bias::kYes)),
      fc1((s / "mlp").linear("fc1", c.width, c.hidden, Bias::kYes)),
      fc2((s / "mlp").linear("fc2", c.hidden, c.width, Bias::kYes)) {}

ClipTextEncoder::ClipTextEncoder(const Scope& s, const ClipConfig& c)
    : config_(c),
      path_(s.path()),
      tokens_((s / "embeddings").table("token_embedding", c.vocab, c.width)),
      positions_((s / "embeddings").table("position_embedding", c.positions, c.width)),
      norm_gain_(s.vector("final_layer_norm.weight", c.width)),
      norm_shift_(s.vector("final_layer_norm.bias", c.width)) {
  for (int64_t i = 0; i < c.layers; ++i) layers_.emplace_back(s / "encoder" / "layers" / i, c);
}

Tensor ClipTextEncoder::operator()(Exec& e, std::span<const int32_t> ids) const {
  const Scratch::Mark mark(e.scratch);
  const auto n = static_cast<int64_t>(ids.size());
  const int64_t width = config_.width, heads = config_.heads, dim = width / heads;
  Tensor x = e.scratch.tensor(DType::kF32, Shape{n, width});
  ops::embed(e, tokens_, ids, x);
  ops::add(e, positions_.row_range(0, n), x);

  Tensor q = e.scratch.tensor(e.compute, Shape{heads, n, dim});
  Tensor k = e.scratch.tensor(e.compute, Shape{heads, n, dim});
  Tensor v = e.scratch.tensor(e.compute, Shape{heads, n, dim});
  for (const ClipLayer& layer : layers_) {
    const Scratch::Mark inner(e.scratch);
    const Activation normed =
        ops::layer_norm(e, x, layer.norm1_gain.f32(), layer.norm1_shift.f32(), config_.eps, layer.qkv.wants());
    const Tensor qkv = layer.qkv(e, normed, e.compute);
    ops::qkv(e, QkvArgs{.x = &qkv, .heads = heads, .head_dim = dim, .q = &q, .k = &k, .v = &v});
    Tensor attended = e.scratch.tensor(e.compute, Shape{n, width});
    ops::attention(e, AttentionArgs{.q = &q,
                                    .k = &k,
                                    .v = &v,
                                    .scale = 1.0f / std::sqrt(static_cast<float>(dim)),
                                    .causal = true,
                                    .out = &attended});
    layer.out.add_to(e, ops::to(e, attended, layer.out.wants()), nullptr, x);
    const Activation normed2 =
        ops::layer_norm(e, x, layer.norm2_gain.f32(), layer.norm2_shift.f32(), config_.eps, layer.fc1.wants());
    layer.fc2.add_to(e, layer.fc1.then(e, normed2, config_.act, layer.fc2.wants()), nullptr, x);
  }
  const Activation last = ops::layer_norm(e, x, norm_gain_.f32(), norm_shift_.f32(), config_.eps, ActFormat{});
  if (e.tap != nullptr) e.record(path_ + ".last_hidden_state", last.values);

  // transformers: configs with the historic end id 2 mean the largest id of the prompt.
  auto end = config_.eos == 2 ? std::max_element(ids.begin(), ids.end())
                              : std::find(ids.begin(), ids.end(), static_cast<int32_t>(config_.eos));
  if (end == ids.end()) end = ids.begin();
  const int64_t row = end - ids.begin();
  Tensor pooled(DType::kF32, Shape{width});
  std::copy_n(last.values.f32() + row * width, width, pooled.f32());
  if (e.tap != nullptr) e.record(path_ + ".pooler_output", pooled);
  return pooled;
}

}  // namespace omni
