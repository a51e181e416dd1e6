#pragma once
#include <cstdint>

namespace omni::cpu {

// The heads of one token that are treated alike: norm over a head, rotation of pairs, then into the operand of
// attention.
struct QkvHeads {
  const void* x = nullptr;  // [heads, count] f32 or bf16
  bool x_bf16 = false;
  const float* gain = nullptr;  // [count], or null: no norm
  float eps = 0;
  const float* cos = nullptr;  // [count / 2], or null: no rotation
  const float* sin = nullptr;
  int64_t heads = 0, count = 0;  // count: at most kMaxHeadDim
  void* out = nullptr;           // [heads, count] f32 or bf16
  int64_t out_stride = 0;        // elements from head to head
  bool out_bf16 = false;
};
constexpr int64_t kMaxHeadDim = 512;

struct QkvTable {
  void (*heads)(const QkvHeads& heads);
};
extern const QkvTable kQkvScalar, kQkvAvx2, kQkvAvx512, kQkvAvx512Bf16;

}  // namespace omni::cpu
