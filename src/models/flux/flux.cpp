#include "models/flux/flux.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "ops/embed.h"
#include "ops/ops.h"

namespace omni {
namespace {

constexpr float kEps = 1e-6f;
constexpr int64_t kTimeChannels = 256;  // of the sinusoidal embedding
constexpr double kTheta = 10000.0;

// cos | sin of t * 10000^(-i / 128) (Vaswani et al. 2017, in diffusers' order). values: t in [0, 1000].
Tensor sinusoid(Exec& e, std::span<const float> values) {
  const int64_t half = kTimeChannels / 2;
  Tensor out = e.scratch.tensor(DType::kF32, Shape{static_cast<int64_t>(values.size()), kTimeChannels});
  for (size_t row = 0; row < values.size(); ++row) {
    float* to = out.f32() + static_cast<int64_t>(row) * kTimeChannels;
    for (int64_t i = 0; i < half; ++i) {
      const float frequency =
          std::exp(static_cast<float>(-std::log(kTheta)) * static_cast<float>(i) / static_cast<float>(half));
      to[i] = std::cos(values[row] * frequency);
      to[half + i] = std::sin(values[row] * frequency);
    }
  }
  return out;
}

// Rotary angles of text tokens (position 0 on every axis) and image tokens (0, row, col). Each axis has a block of
// columns of its own, the same for every token of one position, so that few angles are computed and most are copied.
void rotary(const FluxConfig& c, int64_t text_tokens, int64_t rows, int64_t cols, Tensor& cos, Tensor& sin) {
  const int64_t half = c.head_dim / 2, tokens = text_tokens + rows * cols;
  const auto position = [&](size_t axis, int64_t image) {
    return axis == 0 ? 0 : axis == 1 ? image / cols : image % cols;
  };
  int64_t pair = 0;
  for (size_t axis = 0; axis < 3; ++axis) {
    const int64_t pairs = c.axes[axis] / 2;
    for (int64_t token = 0; token < tokens; ++token) {
      const int64_t image = token - text_tokens, at = image < 0 ? 0 : position(axis, image);
      // The first token of this position: token 0, else on the first row or column of the picture.
      const int64_t first = at == 0 ? 0 : text_tokens + (axis == 1 ? at * cols : at);
      float *const to_cos = cos.f32() + token * half + pair, *const to_sin = sin.f32() + token * half + pair;
      if (first < token) {
        std::copy_n(cos.f32() + first * half + pair, pairs, to_cos);
        std::copy_n(sin.f32() + first * half + pair, pairs, to_sin);
        continue;
      }
      for (int64_t i = 0; i < pairs; ++i) {
        const double angle = static_cast<double>(at) *
                             std::pow(kTheta, -2.0 * static_cast<double>(i) / static_cast<double>(c.axes[axis]));
        to_cos[i] = static_cast<float>(std::cos(angle));
        to_sin[i] = static_cast<float>(std::sin(angle));
      }
    }
    pair += pairs;
  }
}

}  // namespace

FluxEmbedder::FluxEmbedder(const Scope& s, int64_t in, int64_t width)
    : linear1(s.linear("linear_1", in, width, Bias::kYes, Role::kSensitive)),
      linear2(s.linear("linear_2", width, width, Bias::kYes, Role::kSensitive)) {}

Tensor FluxEmbedder::operator()(Exec& e, const Tensor& x) const {
  return linear2(e, linear1.then(e, ops::to(e, x, linear1.wants()), Act::kSilu, linear2.wants()), DType::kF32);
}

FluxTransformer::FluxTransformer(const Scope& s, const FluxConfig& c)
    : config_(c),
      path_(s.path()),
      image_in_(s.linear("x_embedder", c.in_channels, c.width, Bias::kYes, Role::kSensitive)),
      context_in_(s.linear("context_embedder", c.context, c.width, Bias::kYes, Role::kSensitive)),
      time_(s / "time_text_embed" / "timestep_embedder", kTimeChannels, c.width),
      pooled_(s / "time_text_embed" / "text_embedder", c.pooled, c.width) {
  if (c.guidance) guidance_.emplace(s / "time_text_embed" / "guidance_embedder", kTimeChannels, c.width);
  double_.reserve(static_cast<size_t>(c.double_blocks));
  for (int64_t i = 0; i < c.double_blocks; ++i, modulation_columns_ += 12 * c.width) {
    double_.emplace_back(s / "transformer_blocks" / i, c, modulation_columns_);
  }
  single_.reserve(static_cast<size_t>(c.single_blocks));
  for (int64_t i = 0; i < c.single_blocks; ++i, modulation_columns_ += 3 * c.width) {
    single_.emplace_back(s / "single_transformer_blocks" / i, c, modulation_columns_);
  }
  norm_out_ = (s / "norm_out").linear("linear", c.width, 2 * c.width, Bias::kYes, Role::kSensitive);
  modulation_columns_ += 2 * c.width;
  out_ = s.linear("proj_out", c.width, c.out_channels, Bias::kYes, Role::kSensitive);
}

FluxConditioning FluxTransformer::prepare(Exec& e, const Tensor& pooled, const Tensor& states,
                                          std::span<const float> sigmas, float guidance, int64_t rows,
                                          int64_t cols) const {
  assert(pooled.cols() == config_.pooled && states.cols() == config_.context && !sigmas.empty());
  const Scratch::Mark mark(e.scratch);
  const auto steps = static_cast<int64_t>(sigmas.size());
  const int64_t tokens = states.rows() + rows * cols, d = config_.width;
  FluxConditioning out{.text = Tensor(DType::kF32, Shape{states.rows(), d}),
                       .cos = Tensor(DType::kF32, Shape{tokens, config_.head_dim / 2}),
                       .sin = Tensor(DType::kF32, Shape{tokens, config_.head_dim / 2}),
                       .modulation = Tensor(DType::kF32, Shape{steps, modulation_columns_})};
  context_in_.into(e, ops::to(e, states, context_in_.wants()), out.text);
  rotary(config_, states.rows(), rows, cols, out.cos, out.sin);

  std::vector<float> times;
  for (const float sigma : sigmas) times.push_back(sigma * 1000.0f);
  Tensor vec = time_(e, sinusoid(e, times));
  const Tensor text = pooled_(e, pooled.reshaped(Shape{1, config_.pooled}));
  for (int64_t step = 0; step < steps; ++step) {
    Tensor row = vec.row_range(step, 1);
    ops::add(e, text, row);
  }
  if (guidance_) {
    const float scaled[] = {guidance * 1000.0f};
    const Tensor strength = (*guidance_)(e, sinusoid(e, scaled));
    for (int64_t step = 0; step < steps; ++step) {
      Tensor row = vec.row_range(step, 1);
      ops::add(e, strength, row);
    }
  }
  if (e.tap != nullptr) e.record(path_ + ".time_text_embed", vec);

  const auto modulate = [&](const Linear& linear, int64_t column) {
    const Scratch::Mark inner(e.scratch);
    Tensor to = out.modulation.columns(column, linear.out());
    linear.into(e, ops::activation(e, vec, Act::kSilu, linear.wants()), to);
  };
  for (const FluxDoubleBlock& block : double_) {
    modulate(block.image.modulate, block.image.modulation);
    modulate(block.text.modulate, block.text.modulation);
  }
  for (const FluxSingleBlock& block : single_) modulate(block.modulate, block.modulation);
  modulate(norm_out_, modulation_columns_ - 2 * d);
  return out;
}

void FluxTransformer::operator()(Exec& e, const FluxConditioning& conditioning, int64_t step, const Tensor& latents,
                                 Tensor& velocity) const {
  const Scratch::Mark mark(e.scratch);
  const int64_t text_tokens = conditioning.text.rows(), image_tokens = latents.rows(), d = config_.width;
  Tensor x = e.scratch.tensor(DType::kF32, Shape{text_tokens + image_tokens, d});
  std::copy_n(conditioning.text.f32(), text_tokens * d, x.f32());
  Tensor image = x.row_range(text_tokens, image_tokens);
  image_in_.into(e, ops::to(e, latents, image_in_.wants()), image);

  const FluxStep shared{.cos = conditioning.cos.f32(),
                        .sin = conditioning.sin.f32(),
                        .modulation = conditioning.modulation.f32() + step * modulation_columns_,
                        .text_tokens = text_tokens};
  for (const FluxDoubleBlock& block : double_) block(e, config_, shared, x);
  for (const FluxSingleBlock& block : single_) {
    const bool last = &block == &single_.back() && e.tap == nullptr;  // only the image goes on; a tap sees all
    block(e, config_, shared, x, last ? text_tokens : 0);
  }

  // AdaLayerNormContinuous: scale comes first.
  const float* last = shared.modulation + modulation_columns_ - 2 * d;
  out_.into(e, ops::modulate(e, image, last, last + d, kEps, out_.wants()), velocity);
  if (e.tap != nullptr) e.record(path_ + ".velocity", velocity);
}

}  // namespace omni
