#pragma once
#include <cstdint>

namespace omni::cpu {

// Attention over packed keys and values. An instruction set multiplies in steps of 32 bits: one f32, or a pair of
// bf16. Packed matrices are panels of `panel` columns, [step][panel][32 bits], so that both products are
//   C[queries, panel] += A[queries, steps] * B[steps, panel]:
//   keys   of a head: panels over keys,     steps over the head's dimensions: [keys / panel][d steps][panel]
//   values of a head: panels over channels, steps over keys:                  [d / panel][keys steps][panel]
// Keys are padded to whole panels, channels too, all with zeros.
struct AttentionShape {
  int64_t tokens = 0, keys = 0, d = 0;
  int64_t padded_keys = 0, padded_d = 0;
  bool bf16 = false;  // operands q, k, v
};

// Packs keys [begin, begin + panel) of one head.
struct AttentionPack {
  AttentionShape shape;
  const void* k = nullptr;  // [keys, d] of this head
  const void* v = nullptr;
  int64_t begin = 0;
  uint32_t* packed_k = nullptr;
  uint32_t* packed_v = nullptr;
};

constexpr int64_t kQueryBlock = 48;  // queries a unit of work has at most
constexpr int64_t kKeyBlock = 320;   // keys between two softmax updates, at most

// Working memory of a thread, in floats.
struct AttentionBuffers {
  float* scores = nullptr;      // [kQueryBlock, kKeyBlock]
  uint32_t* weights = nullptr;  // [kQueryBlock, kKeyBlock], used where steps are pairs
  float* sums = nullptr;        // [kQueryBlock, padded_d], the output before its division
  uint32_t* queries = nullptr;  // [kQueryBlock, d], used where q has to be widened
};

// One block of queries of one head.
struct AttentionUnit {
  AttentionShape shape;
  const void* q = nullptr;  // [tokens, d] of this head
  const uint32_t* packed_k = nullptr;
  const uint32_t* packed_v = nullptr;
  float scale = 1;
  const float* bias = nullptr;  // [tokens, keys] of this head, or null
  bool causal = false;
  int64_t begin = 0, count = 0;  // queries
  void* out = nullptr;           // row `begin` of this head's columns
  int64_t out_stride = 0;
  bool out_bf16 = false;
  AttentionBuffers buffers;
};

struct AttentionTable {
  int64_t panel;  // columns
  int64_t step;   // values a step holds: 1 or 2
  void (*pack)(const AttentionPack& job);
  void (*run)(const AttentionUnit& unit);
};
extern const AttentionTable kAttentionScalar, kAttentionAvx2, kAttentionAvx512, kAttentionAvx512Bf16;

}  // namespace omni::cpu
