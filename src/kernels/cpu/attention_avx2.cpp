#include "kernels/cpu/simd_avx2.h"

namespace omni::cpu {
namespace {
// 12 sums, 2 columns and a value in 16 registers.
constexpr int kTileRows = 6, kTileVectors = 2;
}  // namespace
}  // namespace omni::cpu

#include "kernels/cpu/attention_f32_inl.h"

namespace omni::cpu {

const AttentionTable kAttentionAvx2 = kAttentionF32;

}  // namespace omni::cpu
