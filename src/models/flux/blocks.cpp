#include <cmath>

#include "models/flux/flux.h"
#include "ops/ops.h"

namespace omni {
namespace {

constexpr float kEps = 1e-6f;  // of every norm of the network

float attention_scale(const FluxConfig& c) {
  return 1.0f / std::sqrt(static_cast<float>(c.head_dim));
}

}  // namespace

FluxStream::FluxStream(const Scope& s, const FluxConfig& c, bool is_text, int64_t column)
    : modulation(column),
      modulate((s / (is_text ? "norm1_context" : "norm1"))
                   .linear("linear", c.width, 6 * c.width, Bias::kYes, Role::kSensitive)),
      qkv(is_text
              ? (s / "attn")
                    .merged_linear({"add_q_proj", "add_k_proj", "add_v_proj"}, {c.width, c.width, c.width}, c.width,
                                   Bias::kYes)
              : (s / "attn").merged_linear({"to_q", "to_k", "to_v"}, {c.width, c.width, c.width}, c.width, Bias::kYes)),
      out((s / "attn").linear(is_text ? "to_add_out" : "to_out.0", c.width, c.width, Bias::kYes)),
      up((s / (is_text ? "ff_context" : "ff")).linear("net.0.proj", c.width, 4 * c.width, Bias::kYes)),
      down((s / (is_text ? "ff_context" : "ff")).linear("net.2", 4 * c.width, c.width, Bias::kYes)),
      q_gain((s / "attn").vector(is_text ? "norm_added_q.weight" : "norm_q.weight", c.head_dim)),
      k_gain((s / "attn").vector(is_text ? "norm_added_k.weight" : "norm_k.weight", c.head_dim)) {}

FluxDoubleBlock::FluxDoubleBlock(const Scope& s, const FluxConfig& c, int64_t column)
    : path(s.path()), image(s, c, false, column), text(s, c, true, column + 6 * c.width) {}

void FluxDoubleBlock::operator()(Exec& e, const FluxConfig& c, const FluxStep& step, Tensor& x) const {
  const Scratch::Mark mark(e.scratch);
  const int64_t tokens = x.rows(), d = c.width;
  struct Part {
    const FluxStream& stream;
    Tensor x;
    int64_t offset;
    const float* mod;
  };
  Part parts[] = {{text, x.row_range(0, step.text_tokens), 0, step.modulation + text.modulation},
                  {image, x.row_range(step.text_tokens, tokens - step.text_tokens), step.text_tokens,
                   step.modulation + image.modulation}};
  Tensor q = e.scratch.tensor(e.compute, Shape{c.heads, tokens, c.head_dim});
  Tensor k = e.scratch.tensor(e.compute, Shape{c.heads, tokens, c.head_dim});
  Tensor v = e.scratch.tensor(e.compute, Shape{c.heads, tokens, c.head_dim});
  for (const Part& p : parts) {
    const Scratch::Mark inner(e.scratch);
    const Activation normed = ops::modulate(e, p.x, p.mod + d, p.mod, kEps, p.stream.qkv.wants());
    const Tensor qkv = p.stream.qkv(e, normed, e.compute);
    ops::qkv(e, QkvArgs{.x = &qkv,
                        .q_gain = p.stream.q_gain.f32(),
                        .k_gain = p.stream.k_gain.f32(),
                        .eps = kEps,
                        .cos = step.cos,
                        .sin = step.sin,
                        .heads = c.heads,
                        .head_dim = c.head_dim,
                        .token_offset = p.offset,
                        .q = &q,
                        .k = &k,
                        .v = &v});
  }
  Tensor attended = e.scratch.tensor(e.compute, Shape{tokens, d});
  ops::attention(e, AttentionArgs{.q = &q, .k = &k, .v = &v, .scale = attention_scale(c), .out = &attended});
  for (Part& p : parts) {
    const Scratch::Mark inner(e.scratch);
    const Tensor mine = attended.row_range(p.offset, p.x.rows());
    p.stream.out.add_to(e, ops::to(e, mine, p.stream.out.wants()), p.mod + 2 * d, p.x);
    const Activation normed = ops::modulate(e, p.x, p.mod + 4 * d, p.mod + 3 * d, kEps, p.stream.up.wants());
    const Activation wide = p.stream.up.then(e, normed, Act::kGeluTanh, p.stream.down.wants());
    p.stream.down.add_to(e, wide, p.mod + 5 * d, p.x);
  }
  if (e.tap != nullptr) {
    e.record(path + ".txt", parts[0].x);
    e.record(path + ".img", parts[1].x);
  }
}

FluxSingleBlock::FluxSingleBlock(const Scope& s, const FluxConfig& c, int64_t column)
    : path(s.path()),
      modulation(column),
      modulate((s / "norm").linear("linear", c.width, 3 * c.width, Bias::kYes, Role::kSensitive)),
      qkv((s / "attn").merged_linear({"to_q", "to_k", "to_v"}, {c.width, c.width, c.width}, c.width, Bias::kYes)),
      up(s.linear("proj_mlp", c.width, 4 * c.width, Bias::kYes)),
      out(s.linear("proj_out", 5 * c.width, c.width, Bias::kYes)),
      q_gain((s / "attn").vector("norm_q.weight", c.head_dim)),
      k_gain((s / "attn").vector("norm_k.weight", c.head_dim)) {}

void FluxSingleBlock::operator()(Exec& e, const FluxConfig& c, const FluxStep& step, Tensor& x, int64_t unread) const {
  const Scratch::Mark mark(e.scratch);
  const int64_t tokens = x.rows(), read = tokens - unread, d = c.width;
  const float* mod = step.modulation + modulation;
  Tensor q = e.scratch.tensor(e.compute, Shape{c.heads, tokens, c.head_dim});
  Tensor k = e.scratch.tensor(e.compute, Shape{c.heads, tokens, c.head_dim});
  Tensor v = e.scratch.tensor(e.compute, Shape{c.heads, tokens, c.head_dim});
  Tensor joined = e.scratch.tensor(e.compute, Shape{tokens, 5 * d});  // [attention | mlp]
  Tensor attended = joined.columns(0, d);
  Tensor mlp = joined.row_range(unread, read).columns(d, 4 * d);
  const bool floats = out.wants().quant == ActQuant::kNone && out.wants().storage == e.compute;
  const Act act = floats ? Act::kGeluTanh : Act::kNone;  // else the quantizing producer applies it
  {
    const Scratch::Mark inner(e.scratch);
    Activation normed = ops::modulate(e, x, mod + d, mod, kEps, qkv.wants());
    const Tensor projected = qkv(e, normed, e.compute);
    ops::qkv(e, QkvArgs{.x = &projected,
                        .q_gain = q_gain.f32(),
                        .k_gain = k_gain.f32(),
                        .eps = kEps,
                        .cos = step.cos,
                        .sin = step.sin,
                        .heads = c.heads,
                        .head_dim = c.head_dim,
                        .q = &q,
                        .k = &k,
                        .v = &v});
    if (up.wants() != qkv.wants()) normed = ops::modulate(e, x, mod + d, mod, kEps, up.wants());
    up.into(e, normed.rows(unread, read), mlp, Epilogue{.act = act});
  }
  ops::attention(e, AttentionArgs{.q = &q, .k = &k, .v = &v, .scale = attention_scale(c), .out = &attended});
  Tensor result = x.row_range(unread, read);
  if (floats) {
    out.add_to(e, float_activation(joined.row_range(unread, read)), mod + 2 * d, result);
  } else {
    const Tensor seen = attended.row_range(unread, read);
    out.add_to(e, ops::concat(e, seen, mlp, Act::kGeluTanh, out.wants()), mod + 2 * d, result);
  }
  if (e.tap != nullptr) {
    e.record(path + ".txt", x.row_range(0, step.text_tokens));
    e.record(path + ".img", x.row_range(step.text_tokens, tokens - step.text_tokens));
  }
}

}  // namespace omni
