#include "models/llm/llm.h"

#include <cassert>
#include <cmath>

#include "base/error.h"
#include "models/llm/rope.h"
#include "ops/moe.h"
#include "ops/ops.h"

namespace omni {

LlmAttention::LlmAttention(const Scope& s, const LlmConfig& c)
    : qkv(s.merged_linear({"q_proj", "k_proj", "v_proj"},
                          {c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim}, c.width,
                          c.qkv_bias ? Bias::kYes : Bias::kNo)),
      out(s.linear("o_proj", c.heads * c.head_dim, c.width, c.out_bias ? Bias::kYes : Bias::kNo)) {
  if (!c.qk_norm) return;
  q_gain = s.vector("q_norm.weight", c.head_dim);
  k_gain = s.vector("k_norm.weight", c.head_dim);
}

void LlmAttention::operator()(Exec& e, const LlmConfig& c, const Activation& normed, const LlmPositions& at,
                              KvCache& cache, int64_t layer, Tensor& x) const {
  const int64_t m = x.rows(), d = c.head_dim, q_cols = c.heads * d, kv_cols = c.kv_heads * d;
  const Tensor projected = qkv(e, normed, e.compute);
  const Tensor q_in = projected.columns(0, q_cols), k_in = projected.columns(q_cols, kv_cols);
  const Tensor v_in = projected.columns(q_cols + kv_cols, kv_cols);
  Tensor q = e.scratch.tensor(e.compute, Shape{c.heads, m, d});
  Tensor k = cache.keys(layer), v = cache.values(layer);
  SplitHeadsArgs args{.x = &q_in,
                      .gain = q_gain.empty() ? nullptr : q_gain.f32(),
                      .eps = c.eps,
                      .cos = at.cos,
                      .sin = at.sin,
                      .out = &q};
  ops::split_heads(e, args);
  args.x = &k_in;
  args.gain = k_gain.empty() ? nullptr : k_gain.f32();
  args.offset = cache.tokens();
  args.out = &k;
  ops::split_heads(e, args);
  ops::split_heads(e, SplitHeadsArgs{.x = &v_in, .offset = cache.tokens(), .out = &v});
  Tensor attended = e.scratch.tensor(e.compute, Shape{m, q_cols});
  ops::causal_attention(e, CausalAttentionArgs{.q = &q,
                                               .k = &k,
                                               .v = &v,
                                               .keys = cache.tokens() + m,
                                               .scale = 1.0f / std::sqrt(static_cast<float>(d)),
                                               .out = &attended});
  out.add_to(e, ops::to(e, attended, out.wants()), nullptr, x);
}

LlmMlp::LlmMlp(const Scope& s, int64_t width, int64_t hidden, Bias bias)
    : gate_up(s.merged_linear({"gate_proj", "up_proj"}, {hidden, hidden}, width, bias)),
      down(s.linear("down_proj", hidden, width, bias)) {}

void LlmMlp::add_to(Exec& e, const Activation& normed, Tensor& x) const {
  const Tensor wide = gate_up(e, normed, e.compute);
  const int64_t hidden = down.in();
  const Activation gated =
      ops::gated(e, wide.columns(0, hidden), wide.columns(hidden, hidden), Act::kSilu, down.wants());
  down.add_to(e, gated, nullptr, x);
}

LlmExperts::LlmExperts(const Scope& s, const LlmConfig& c)
    : router(s.linear("gate", c.width, c.experts, Bias::kNo, Role::kSensitive)) {
  experts.reserve(static_cast<size_t>(c.experts));
  for (int64_t i = 0; i < c.experts; ++i) experts.emplace_back(s / "experts" / i, c.width, c.expert_hidden, Bias::kNo);
}

void LlmExperts::add_to(Exec& e, const LlmConfig& c, const Tensor& normed, Tensor& x) const {
  const Tensor logits = router(e, ops::to(e, normed, router.wants()), DType::kF32);
  const ops::Routes routes = ops::route(e, logits, c.experts_per_token,
                                        c.normalise_experts ? ops::TopWeights::kSumToOne : ops::TopWeights::kAsTheyAre);
  for (size_t i = 0; i < experts.size(); ++i) {
    const Scratch::Mark inner(e.scratch);
    const ops::Route route = routes.of(static_cast<int64_t>(i));
    if (route.tokens.empty()) continue;
    const Tensor rows = ops::gather_rows(e, normed, route.tokens);
    Tensor said = e.scratch.tensor(DType::kF32, Shape{rows.rows(), x.cols()});
    const LlmMlp& expert = experts[i];
    const Tensor wide = expert.gate_up(e, ops::to(e, rows, expert.gate_up.wants()), e.compute);
    const Activation gated =
        ops::gated(e, wide.columns(0, c.expert_hidden), wide.columns(c.expert_hidden, c.expert_hidden), Act::kSilu,
                   expert.down.wants());
    expert.down.into(e, gated, said);
    ops::scatter_add(e, said, route, x);
  }
}

LlmLayer::LlmLayer(const Scope& s, const LlmConfig& c, int64_t layer)
    : path(s.path()),
      attention_norm(s.vector("input_layernorm.weight", c.width)),
      mlp_norm(s.vector("post_attention_layernorm.weight", c.width)),
      attention(s / "self_attn", c) {
  if (c.is_sparse(layer)) {
    experts.emplace(s / "mlp", c);
  } else {
    mlp.emplace(s / "mlp", c.width, c.hidden, c.mlp_bias ? Bias::kYes : Bias::kNo);
  }
}

void LlmLayer::operator()(Exec& e, const LlmConfig& c, const LlmPositions& at, KvCache& cache, int64_t layer,
                          Tensor& x) const {
  const Scratch::Mark mark(e.scratch);
  attention(e, c, ops::rms_norm(e, x, attention_norm.f32(), c.eps, attention.qkv.wants()), at, cache, layer, x);
  if (experts) {
    experts->add_to(e, c, ops::rms_norm(e, x, mlp_norm.f32(), c.eps, ActFormat{}).values, x);
  } else {
    mlp->add_to(e, ops::rms_norm(e, x, mlp_norm.f32(), c.eps, mlp->gate_up.wants()), x);
  }
  if (e.tap != nullptr) e.record(path, x);
}

Llm::Llm(const Scope& s, const LlmConfig& c)
    : config_(c), path_(s.path()), tokens_(s.embedding("embed_tokens", c.vocab, c.width)) {
  layers_.reserve(static_cast<size_t>(c.layers));
  for (int64_t i = 0; i < c.layers; ++i) layers_.emplace_back(s / "layers" / i, c, i);
  norm_ = s.vector("norm.weight", c.width);
  head_ = s.linear("lm_head", c.width, c.vocab, Bias::kNo, Role::kSensitive);
  Tensor divisors;
  if (c.rope.scaling == RopeScaling::kFactors) divisors = s.vector("rope_freqs.weight", c.head_dim / 2);
  if (c.rope.scaling == RopeScaling::kFactors && divisors.empty()) return;  // only planned
  frequencies_ = rope_frequencies(
      c.rope, c.head_dim,
      divisors.empty() ? std::span<const float>() : std::span(divisors.f32(), static_cast<size_t>(c.head_dim / 2)));
  rope_scale_ = rope_attention_factor(c.rope);
}

KvCache Llm::make_cache(int64_t capacity, DType dtype) const {
  return KvCache(config_.layers, config_.kv_heads, capacity, config_.head_dim, dtype);
}

// Angles in f32, as the reference computes them.
LlmPositions Llm::positions(Exec& e, int64_t first, int64_t count) const {
  const auto half = static_cast<int64_t>(frequencies_.size());
  Tensor cos = e.scratch.tensor(DType::kF32, Shape{count, half}),
         sin = e.scratch.tensor(DType::kF32, Shape{count, half});
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(first + row) * frequencies_[static_cast<size_t>(i)];
      cos.f32()[row * half + i] = std::cos(angle) * rope_scale_;
      sin.f32()[row * half + i] = std::sin(angle) * rope_scale_;
    }
  }
  return {cos.f32(), sin.f32()};
}

void Llm::operator()(Exec& e, std::span<const int32_t> ids, KvCache& cache, Tensor& logits) const {
  const Scratch::Mark mark(e.scratch);
  const auto m = static_cast<int64_t>(ids.size());
  const int64_t n = logits.rows();
  assert(m > 0 && n <= m && logits.cols() == config_.vocab && cache.tokens() + m <= cache.capacity());
  Tensor x = e.scratch.tensor(DType::kF32, Shape{m, config_.width});
  tokens_(e, ids, x);
  if (e.tap != nullptr) e.record(path_ + ".embed_tokens", x);
  const LlmPositions at = positions(e, cache.tokens(), m);
  for (size_t i = 0; i < layers_.size(); ++i) layers_[i](e, config_, at, cache, static_cast<int64_t>(i), x);
  cache.advance(m);
  if (n == 0) return;
  const Activation normed = ops::rms_norm(e, x.row_range(m - n, n), norm_.f32(), config_.eps, head_.wants());
  head_.into(e, normed, logits);
}

}  // namespace omni
