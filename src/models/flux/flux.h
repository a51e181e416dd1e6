#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/scope.h"

namespace omni {

// The FLUX.1 transformer (Black Forest Labs 2024) as diffusers' FluxTransformer2DModel computes it: double blocks with
// a text and an image stream, single blocks over both, AdaLN-zero modulation, QK RMSNorm, rotary embedding over three
// axes.
struct FluxConfig {
  int64_t heads = 0, head_dim = 0, width = 0;
  int64_t double_blocks = 0, single_blocks = 0;
  int64_t in_channels = 0, out_channels = 0, context = 0, pooled = 0;
  std::array<int64_t, 3> axes{};
  bool guidance = false;
  static FluxConfig from_json(const JsonObject& config);  // transformer/config.json; throws Error
  bool operator==(const FluxConfig&) const = default;
};

// linear_1, SiLU, linear_2.
struct FluxEmbedder {
  Linear linear1, linear2;
  FluxEmbedder(const Scope& scope, int64_t in, int64_t width);
  Tensor operator()(Exec& exec, const Tensor& x) const;  // [m, width] f32
};

// What the blocks share during one step.
struct FluxStep {
  const float* cos = nullptr;  // [text + image tokens, head_dim / 2]
  const float* sin = nullptr;
  const float* modulation = nullptr;  // this step's row
  int64_t text_tokens = 0;
};

// One stream (image or text) of a double block.
struct FluxStream {
  int64_t modulation = 0;  // column of shift, scale, gate, shift, scale, gate in the modulation row
  Linear modulate, qkv, out, up, down;
  Tensor q_gain, k_gain;
  FluxStream(const Scope& block, const FluxConfig& config, bool is_text, int64_t column);
};

struct FluxDoubleBlock {
  std::string path;
  FluxStream image, text;
  FluxDoubleBlock(const Scope& scope, const FluxConfig& config, int64_t column);
  // x: [text + image tokens, width] f32, text first, updated in place.
  void operator()(Exec& exec, const FluxConfig& config, const FluxStep& step, Tensor& x) const;
};

struct FluxSingleBlock {
  std::string path;
  int64_t modulation = 0;  // column of shift, scale, gate
  Linear modulate, qkv, up, out;
  Tensor q_gain, k_gain;
  FluxSingleBlock(const Scope& scope, const FluxConfig& config, int64_t column);
  // x: as in a double block. The first `unread` tokens are not read after this block: their rows of x stay as they are.
  void operator()(Exec& exec, const FluxConfig& config, const FluxStep& step, Tensor& x, int64_t unread = 0) const;
};

// Everything of one picture that does not change from step to step, and the modulations of all its steps: they depend
// on the timestep, the guidance and the prompt only, so one pass over each modulation linear serves every step.
struct FluxConditioning {
  Tensor text;        // [text tokens, width] f32, after the context embedder
  Tensor cos, sin;    // [text + image tokens, head_dim / 2] f32
  Tensor modulation;  // [steps, columns] f32
};

class FluxTransformer {
 public:
  FluxTransformer(const Scope& scope, const FluxConfig& config);
  const FluxConfig& config() const { return config_; }

  // pooled: [pooled] f32; states: [text tokens, context] f32; sigmas: the timesteps in [0, 1] of the steps to come;
  // rows, cols: the picture in tokens. Returns memory of its own.
  FluxConditioning prepare(Exec& exec, const Tensor& pooled, const Tensor& states, std::span<const float> sigmas,
                           float guidance, int64_t rows, int64_t cols) const;
  // One evaluation. latents: [image tokens, in_channels] f32; velocity: [image tokens, out_channels] f32. Allocates
  // only from scratch.
  void operator()(Exec& exec, const FluxConditioning& conditioning, int64_t step, const Tensor& latents,
                  Tensor& velocity) const;

  static std::vector<NameMap> names(const FluxConfig& config);

 private:
  FluxConfig config_;
  std::string path_;
  int64_t modulation_columns_ = 0;
  Linear image_in_, context_in_;
  FluxEmbedder time_, pooled_;
  std::optional<FluxEmbedder> guidance_;  // none for schnell
  std::vector<FluxDoubleBlock> double_;
  std::vector<FluxSingleBlock> single_;
  Linear norm_out_, out_;
};

}  // namespace omni
