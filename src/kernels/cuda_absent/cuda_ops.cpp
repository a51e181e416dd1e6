#include "kernels/cuda_absent/cuda_ops.h"

#include "base/error.h"

namespace omni::cuda {

namespace {

[[noreturn]] void absent() {
  throw Error("device cuda", "this build has no CUDA back end", "--device cpu, or a build with -DOMNI_CUDA=ON");
}

}  // namespace

void norm(Exec&, const NormArgs&) {
  absent();
}

void produce(Exec&, const ProduceArgs&) {
  absent();
}

void qkv(Exec&, const QkvArgs&) {
  absent();
}

void attention(Exec&, const AttentionArgs&) {
  absent();
}

void split_heads(Exec&, const SplitHeadsArgs&) {
  absent();
}

void causal_attention(Exec&, const CausalAttentionArgs&) {
  absent();
}

void pad_image(Exec&, const PadImageArgs&) {
  absent();
}

void conv(Exec&, const ConvArgs&) {
  absent();
}

Weight pack_conv(Exec&, const Tensor&) {
  absent();
}

Weight pack_upsample_conv(Exec&, const Tensor&) {
  absent();
}

}  // namespace omni::cuda
