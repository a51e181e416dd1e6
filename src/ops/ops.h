#pragma once
#include "kernels/ops.h"

// One function an operation, the same on every device: checks shapes, takes the output from exec.scratch, calls the
// kernel of exec.device. Vectors are f32 of the length of a row. Outputs live until the enclosing Scratch::Mark goes.
namespace omni::ops {

enum class Silu : uint8_t { kNo, kYes };

// Producers: [m, d] in, [m, d] in the consumer's format out.
Activation layer_norm(Exec& exec, const Tensor& x, const float* gain, const float* shift, float eps,
                      const ActFormat& wants);
// AdaLN: LayerNorm without affine, * (1 + scale) + shift.
Activation modulate(Exec& exec, const Tensor& x, const float* scale, const float* shift, float eps,
                    const ActFormat& wants);
Activation rms_norm(Exec& exec, const Tensor& x, const float* gain, float eps, const ActFormat& wants);
// A cast or a quantization; x itself, not a copy, when it already is contiguous and of the wanted float dtype.
Activation to(Exec& exec, const Tensor& x, const ActFormat& wants);
Activation activation(Exec& exec, const Tensor& x, Act act, const ActFormat& wants);
// act(gate) * up
Activation gated(Exec& exec, const Tensor& gate, const Tensor& up, Act act, const ActFormat& wants);
// [plain | act(activated)], side by side in a row
Activation concat(Exec& exec, const Tensor& plain, const Tensor& activated, Act act, const ActFormat& wants);

void qkv(Exec& exec, const QkvArgs& args);
void attention(Exec& exec, const AttentionArgs& args);
void split_heads(Exec& exec, const SplitHeadsArgs& args);
void causal_attention(Exec& exec, const CausalAttentionArgs& args);

// The padded image (kernels/ops.h) of x [h, w, c] f32.
Tensor pad_image(Exec& exec, const Tensor& x);
// The padded image of group_norm(x), through SiLU when asked.
Tensor group_norm(Exec& exec, const Tensor& x, int groups, const float* gain, const float* shift, float eps, Silu silu);
// A convolution over a padded image. bias: [c_out] or null; residual: [h, w, c_out] f32 or null.
Tensor conv(Exec& exec, const Tensor& padded_image, const Weight& weight, const float* bias, int kernel, int stride,
            int64_t c_out, const Tensor* residual);
// The same into args.out.
void conv(Exec& exec, const ConvArgs& args);
// values: [c_out, c_in, kh, kw] f32.
Weight pack_conv(Exec& exec, const Tensor& values);
// values: [c_out, c_in, 3, 3] f32, for a convolution with upsample 2.
Weight pack_upsample_conv(Exec& exec, const Tensor& values);

}  // namespace omni::ops
