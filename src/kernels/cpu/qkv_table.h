#pragma once
#include <cstdint>

namespace omni::cpu {

// One head of one token: norm over the head, rotation of pairs, then into the operand of attention.
struct QkvHead {
  const void* x = nullptr;  // [count] f32 or bf16
  bool x_bf16 = false;
  const float* gain = nullptr;  // [count], or null: no norm
  float eps = 0;
  const float* cos = nullptr;  // [count / 2], or null: no rotation
  const float* sin = nullptr;
  int64_t count = 0;    // at most kMaxHeadDim
  void* out = nullptr;  // [count] f32 or bf16
  bool out_bf16 = false;
};
constexpr int64_t kMaxHeadDim = 512;

struct QkvTable {
  void (*head)(const QkvHead& head);
};
extern const QkvTable kQkvScalar, kQkvAvx2, kQkvAvx512;

}  // namespace omni::cpu
