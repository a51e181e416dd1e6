#include "kernels/cpu/simd_avx512.h"

namespace omni::cpu {
namespace {
// 24 sums, 4 columns and a value in 32 registers.
constexpr int kTileRows = 6, kTileVectors = 4;
}  // namespace
}  // namespace omni::cpu

#include "kernels/cpu/attention_f32_inl.h"

namespace omni::cpu {

const AttentionTable kAttentionAvx512 = kAttentionF32;

}  // namespace omni::cpu
