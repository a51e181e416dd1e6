#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nn/scope.h"

namespace omni {

// The convolutional autoencoder of latent diffusion (Rombach et al. 2022) as diffusers' AutoencoderKL computes it.
// Images lie as [height, width, channels] f32 (NHWC).
struct VaeConfig {
  int64_t channels = 3, latent_channels = 0, layers_per_block = 1, groups = 32;
  std::vector<int64_t> blocks;
  float scaling = 1, shift = 0;
  bool quant_conv = false, post_quant_conv = false, mid_attention = true;
  int64_t factor() const { return int64_t{1} << (blocks.size() - 1); }  // pixels a latent on each side
  static VaeConfig from_json(const JsonObject& config);                 // vae/config.json; throws Error
};

struct VaeNorm {
  Tensor gain, shift;
  VaeNorm(const Scope& scope, std::string_view name, int64_t channels);
};

struct VaeResnet {
  VaeNorm norm1, norm2;
  Conv conv1, conv2;
  std::optional<Conv> shortcut;
  VaeResnet(const Scope& scope, int64_t c_in, int64_t c_out);
};

// Self-attention over all pixels with one head as wide as the image.
struct VaeAttention {
  VaeNorm norm;
  Linear qkv, out;
  VaeAttention(const Scope& scope, int64_t channels);
};

struct VaeMid {
  VaeResnet first;
  std::optional<VaeAttention> attention;
  VaeResnet second;
  VaeMid(const Scope& scope, int64_t channels, bool attention);
};

// A stage of resnets and, but for the last, a convolution that changes the size.
struct VaeBlock {
  std::vector<VaeResnet> resnets;
  std::optional<Conv> resize;
};

class VaeDecoder {
 public:
  VaeDecoder(const Scope& scope, const VaeConfig& config);
  // latents: [h, w, latent_channels] f32 as the solver leaves them. Returns [h * factor, w * factor, channels] f32,
  // about
  // [-1, 1], memory of its own.
  Tensor operator()(Exec& exec, const Tensor& latents) const;

 private:
  VaeConfig config_;
  std::string path_;
  std::optional<Conv> post_quant_;
  Conv in_;
  VaeMid mid_;
  std::vector<VaeBlock> blocks_;
  VaeNorm norm_out_;
  Conv out_;
};

class VaeEncoder {
 public:
  VaeEncoder(const Scope& scope, const VaeConfig& config);
  // image: [h, w, channels] f32 in [-1, 1], sides multiples of factor. Returns the mean, [h / factor, w / factor,
  // latent_channels] f32, before scaling, memory of its own.
  Tensor operator()(Exec& exec, const Tensor& image) const;

 private:
  VaeConfig config_;
  Conv in_;
  std::vector<VaeBlock> blocks_;
  VaeMid mid_;
  VaeNorm norm_out_;
  Conv out_;
  std::optional<Conv> quant_;
};

std::vector<NameMap> vae_kl_names();

}  // namespace omni
