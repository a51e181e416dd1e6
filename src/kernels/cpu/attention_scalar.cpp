#include "kernels/cpu/simd_scalar.h"

namespace omni::cpu {
namespace {
// 8 sums, 2 columns and a value in the 16 registers of SSE2.
constexpr int kTileRows = 4, kTileVectors = 2;
}  // namespace
}  // namespace omni::cpu

#include "kernels/cpu/attention_f32_inl.h"

namespace omni::cpu {

const AttentionTable kAttentionScalar = kAttentionF32;

}  // namespace omni::cpu
