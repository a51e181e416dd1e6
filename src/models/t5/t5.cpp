#include "models/t5/t5.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "ops/embed.h"
#include "ops/ops.h"

namespace omni {

T5Config T5Config::from_json(const JsonObject& config) {
  T5Config c;
  const std::string kind = config.string_or("model_type", "t5");
  if (kind != "t5") throw Error(config.where() + ": model_type", "is '" + kind + "'", "t5");
  const std::string ff = config.string_or("feed_forward_proj", "relu");
  if (ff != "gated-gelu") throw Error(config.where() + ": feed_forward_proj", "is '" + ff + "'", "gated-gelu");
  c.vocab = config.size("vocab_size", 1, 1 << 24);
  c.width = config.size("d_model", 8, 1 << 16);
  c.hidden = config.size("d_ff", 8, 1 << 18);
  c.layers = config.size("num_layers", 1, 1024);
  c.heads = config.size("num_heads", 1, 1024);
  c.head_dim = config.size("d_kv", 1, 512);
  c.buckets =
      config.has("relative_attention_num_buckets") ? config.size("relative_attention_num_buckets", 4, 4096) : 32;
  c.max_distance = config.has("relative_attention_max_distance")
                       ? config.size("relative_attention_max_distance", c.buckets / 4 + 1, 1 << 20)
                       : 128;
  c.eps = static_cast<float>(config.number_or("layer_norm_epsilon", 1e-6));
  return c;
}

int64_t t5_bucket(int64_t relative, int64_t buckets, int64_t max_distance) {
  const int64_t half = buckets / 2;
  const int64_t side = relative > 0 ? half : 0;
  const int64_t distance = std::abs(relative);
  const int64_t exact = half / 2;
  if (distance < exact) return side + distance;
  const float position = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                         static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact))) *
                         static_cast<float>(half - exact);
  return side + std::min(exact + static_cast<int64_t>(position), half - 1);
}

T5Layer::T5Layer(const Scope& s, const T5Config& c)
    : norm1((s / "layer" / "0").vector("layer_norm.weight", c.width)),
      norm2((s / "layer" / "1").vector("layer_norm.weight", c.width)),
      qkv((s / "layer" / "0" / "SelfAttention")
              .merged_linear({"q", "k", "v"}, {c.heads * c.head_dim, c.heads * c.head_dim, c.heads * c.head_dim},
                             c.width, Bias::kNo)),
      out((s / "layer" / "0" / "SelfAttention").linear("o", c.heads * c.head_dim, c.width, Bias::kNo)),
      wi((s / "layer" / "1" / "DenseReluDense")
             .merged_linear({"wi_0", "wi_1"}, {c.hidden, c.hidden}, c.width, Bias::kNo)),
      wo((s / "layer" / "1" / "DenseReluDense").linear("wo", c.hidden, c.width, Bias::kNo)) {}

T5Encoder::T5Encoder(const Scope& s, const T5Config& c)
    : config_(c),
      path_(s.path()),
      tokens_(s.table("shared", c.vocab, c.width)),
      relative_bias_((s / "encoder" / "block" / "0" / "layer" / "0" / "SelfAttention")
                         .table("relative_attention_bias", c.buckets, c.heads)),
      norm_((s / "encoder").vector("final_layer_norm.weight", c.width)) {
  if (!relative_bias_.empty()) relative_bias_ = to_f32(relative_bias_);  // small, and read value by value
  for (int64_t i = 0; i < c.layers; ++i) layers_.emplace_back(s / "encoder" / "block" / i, c);
}

Tensor T5Encoder::position_bias(Exec& e, int64_t n) const {
  Tensor bias = e.scratch.tensor(DType::kF32, Shape{config_.heads, n, n});
  for (int64_t query = 0; query < n; ++query) {
    for (int64_t key = 0; key < n; ++key) {
      const int64_t bucket = t5_bucket(key - query, config_.buckets, config_.max_distance);
      for (int64_t head = 0; head < config_.heads; ++head) {
        bias.f32()[(head * n + query) * n + key] = relative_bias_.f32()[bucket * config_.heads + head];
      }
    }
  }
  return bias;
}

Tensor T5Encoder::operator()(Exec& e, std::span<const int32_t> ids) const {
  const Scratch::Mark mark(e.scratch);
  const auto n = static_cast<int64_t>(ids.size());
  const int64_t heads = config_.heads, dim = config_.head_dim;
  Tensor x = e.scratch.tensor(DType::kF32, Shape{n, config_.width});
  ops::embed(e, tokens_, ids, x);
  const Tensor bias = position_bias(e, n);
  Tensor q = e.scratch.tensor(e.compute, Shape{heads, n, dim});
  Tensor k = e.scratch.tensor(e.compute, Shape{heads, n, dim});
  Tensor v = e.scratch.tensor(e.compute, Shape{heads, n, dim});
  for (const T5Layer& layer : layers_) {
    const Scratch::Mark inner(e.scratch);
    const Activation normed = ops::rms_norm(e, x, layer.norm1.f32(), config_.eps, layer.qkv.wants());
    const Tensor qkv = layer.qkv(e, normed, e.compute);
    ops::qkv(e, QkvArgs{.x = &qkv, .heads = heads, .head_dim = dim, .q = &q, .k = &k, .v = &v});
    Tensor attended = e.scratch.tensor(e.compute, Shape{n, heads * dim});
    ops::attention(e, AttentionArgs{.q = &q, .k = &k, .v = &v, .scale = 1.0f, .bias = bias.f32(), .out = &attended});
    layer.out.add_to(e, ops::to(e, attended, layer.out.wants()), nullptr, x);
    const Activation normed2 = ops::rms_norm(e, x, layer.norm2.f32(), config_.eps, layer.wi.wants());
    const Tensor wide = layer.wi(e, normed2, e.compute);
    const Activation gated = ops::gated(e, wide.columns(0, config_.hidden),
                                        wide.columns(config_.hidden, config_.hidden), Act::kGeluTanh, layer.wo.wants());
    layer.wo.add_to(e, gated, nullptr, x);
  }
  const Activation last = ops::rms_norm(e, x, norm_.f32(), config_.eps, ActFormat{});
  Tensor states(DType::kF32, Shape{n, config_.width});
  std::copy_n(last.values.f32(), n * config_.width, states.f32());
  if (e.tap != nullptr) e.record(path_ + ".last_hidden_state", states);
  return states;
}

}  // namespace omni
