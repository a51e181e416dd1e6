#pragma once
#include <cstdint>

namespace omni::cpu {

constexpr int64_t kMaxDecoderHead = 512;  // values of a head
constexpr int64_t kDecoderKeys = 128;     // keys between two softmax updates

// One head of one row through norm and rotation of the pairs (i, i + count / 2).
struct DecoderHead {
  const void* x = nullptr;
  bool x_bf16 = false;
  const float* gain = nullptr;  // or null
  float eps = 0;
  const float* cos = nullptr;  // [count / 2] or null
  const float* sin = nullptr;
  int64_t count = 0;
  void* out = nullptr;
  bool out_bf16 = false;
};

// One query of one head over its keys.
struct DecoderQuery {
  const void* q = nullptr;  // [d]
  const void* k = nullptr;  // [keys, d]
  const void* v = nullptr;
  bool bf16 = false;
  int64_t keys = 0, d = 0;
  float scale = 1;
  void* out = nullptr;  // [d]
  bool out_bf16 = false;
};

struct DecoderTable {
  void (*split_head)(const DecoderHead& head);
  void (*attend)(const DecoderQuery& query);
};
extern const DecoderTable kDecoderScalar, kDecoderAvx2, kDecoderAvx512;

}  // namespace omni::cpu
