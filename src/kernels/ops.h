#pragma once
#include "kernels/linear.h"
#include "tensor/activation.h"
#include "tensor/exec.h"

// Parameters of every operation but linears: one struct each, the same for all back ends. Shapes are checked by ops/;
// outputs are allocated there too. All vectors are f32. m = rows (tokens or pixels), d = columns.
namespace omni {

// y = norm(x) * gain + shift, then into out.format. LayerNorm subtracts the mean, RMSNorm does not.
struct NormArgs {
  const Tensor* x = nullptr;     // [m, d] f32
  const float* gain = nullptr;   // [d] or null (1)
  const float* shift = nullptr;  // [d] or null (0)
  bool gain_plus_one = false;    // AdaLN: multiply by 1 + gain
  bool subtract_mean = true;     // LayerNorm; false: RMSNorm
  float eps = 1e-6f;
  Activation* out = nullptr;  // values [m, d], scales as format says
};

// Elementwise producers, from f32 or bf16 rows into out.format. The parts lie side by side in out's row:
//   out = [ plain(a) | act(b) ]            a: [m, da] or null, b: [m, db] or null
//   gated: out = act(b) * c                b, c: [m, db]
struct ProduceArgs {
  const Tensor* a = nullptr;
  const Tensor* b = nullptr;
  const Tensor* c = nullptr;
  Act act = Act::kNone;
  Activation* out = nullptr;
};

// Per-head RMSNorm and rotary embedding of a merged projection, laid out for attention.
//   x: [m, >= (2 or 3) * heads * head_dim], columns [q | k | v]; f32 or bf16
//   q, k, v out: [heads, tokens, head_dim] f32 or bf16, rows [token_offset, token_offset + m) of each head written
//   cos, sin: [tokens, head_dim / 2] f32 for all tokens of the sequence, or null (no rotation); pairs (2i, 2i + 1)
struct QkvArgs {
  const Tensor* x = nullptr;
  const float* q_gain = nullptr;  // [head_dim] or null (no norm)
  const float* k_gain = nullptr;
  float eps = 1e-6f;
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t heads = 0, head_dim = 0, token_offset = 0;
  Tensor* q = nullptr;
  Tensor* k = nullptr;
  Tensor* v = nullptr;
};

// softmax(q k^T * scale + bias) v with an online softmax; no [tokens, tokens] matrix.
//   q: [heads, tokens, d], k, v: [heads, keys, d], f32 or bf16 (all alike); out: [tokens, heads * d] f32 or bf16
//   bias: [heads, tokens, keys] f32 or null; causal: query i sees keys <= i + (keys - tokens)
struct AttentionArgs {
  const Tensor* q = nullptr;
  const Tensor* k = nullptr;
  const Tensor* v = nullptr;
  float scale = 1;
  const float* bias = nullptr;
  bool causal = false;
  Tensor* out = nullptr;
};

// The heads of one part of a merged projection: per-head RMSNorm, then rotary embedding of the pairs (i, i + d / 2),
// laid out for causal attention.
//   x: [m, heads * d] f32 or bf16, rows may be strided
//   cos, sin: [m, d / 2] f32 of these rows, or null (no rotation)
//   out: [heads, capacity, d] f32 or bf16; rows [offset, offset + m) of each head are written
struct SplitHeadsArgs {
  const Tensor* x = nullptr;
  const float* gain = nullptr;  // [d] or null (no norm)
  float eps = 1e-6f;
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t offset = 0;
  Tensor* out = nullptr;
};

// softmax(q k^T * scale) v of the last m tokens of a sequence; query i sees keys [0, keys - m + i]. Query head h reads
// head h / (heads / kv_heads) of the cache.
//   q: [heads, m, d]; k, v: [kv_heads, capacity, d], rows [0, keys) filled; all f32 or all bf16
//   out: [m, heads * d] f32 or bf16
struct CausalAttentionArgs {
  const Tensor* q = nullptr;
  const Tensor* k = nullptr;
  const Tensor* v = nullptr;
  int64_t keys = 0;
  float scale = 1;
  Tensor* out = nullptr;
};

// Images lie as [height, width, channels] f32 (NHWC, batch 1). A padded image is what a convolution reads: in
// Exec::compute dtype, [height + 2, width + 2, padded_channels(channels)], with a border (and channel tail) of zeros.
inline int64_t padded_channels(int64_t channels) {
  return (channels + 3) / 4 * 4;
}

// out = padded image of silu?(group_norm(x)) or of x itself (groups 0).
struct PadImageArgs {
  const Tensor* x = nullptr;     // [h, w, c] f32
  int groups = 0;                // 0: no norm
  const float* gain = nullptr;   // [c]
  const float* shift = nullptr;  // [c]
  float eps = 1e-6f;
  bool silu = false;
  Tensor* out = nullptr;  // [h + 2, w + 2, padded_channels(c)]
};

// 3x3 convolution over a padded image, or 1x1 over its interior. The weight is packed by pack_conv.
//   stride 1: output as large as the interior. stride 2: AutoencoderKL's down-sampling, which pads right and bottom
//   only (tap (0, 0) of output (y, x) reads interior pixel (2y, 2x)), output [h / 2, w / 2].
//   upsample 2: the interior with each pixel repeated 2 x 2, then a 3x3 convolution, output [2h, 2w]; the weight is
//   packed by pack_upsample_conv. Stride 1 only.
struct ConvArgs {
  const Tensor* image = nullptr;  // padded image
  const Weight* weight = nullptr;
  const float* bias = nullptr;  // [c_out] or null
  int kernel = 3;               // 3 or 1
  int stride = 1;
  int upsample = 1;
  const Tensor* residual = nullptr;  // [h, w, c_out] f32 or null; may be out
  Tensor* out = nullptr;             // [h, w, c_out] f32
};

}  // namespace omni
