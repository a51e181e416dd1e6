#pragma once
#include "kernels/ops.h"

// The operations of kernels/ops.h, vectorised, threaded; the instruction set is chosen at run time (kernels/cpu/isa.h).
namespace omni::cpu {

void norm(Exec& exec, const NormArgs& args);
void produce(Exec& exec, const ProduceArgs& args);
void qkv(Exec& exec, const QkvArgs& args);
void attention(Exec& exec, const AttentionArgs& args);
void split_heads(Exec& exec, const SplitHeadsArgs& args);
void causal_attention(Exec& exec, const CausalAttentionArgs& args);
void pad_image(Exec& exec, const PadImageArgs& args);
void conv(Exec& exec, const ConvArgs& args);
// values: [c_out, c_in, kh, kw] f32. The result's rows = c_out, cols = kh * kw * padded_channels(c_in).
Weight pack_conv(Exec& exec, const Tensor& values);
// values: [c_out, c_in, 3, 3] f32, for ConvArgs::upsample 2. The result's shape is the back end's own.
Weight pack_upsample_conv(Exec& exec, const Tensor& values);

}  // namespace omni::cpu
