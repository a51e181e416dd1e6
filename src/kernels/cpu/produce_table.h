#pragma once
#include <cstdint>

#include "kernels/linear.h"

namespace omni::cpu {

// A row of f32 or bf16 values.
struct RowIn {
  const void* data = nullptr;
  bool bf16 = false;
};

// How store writes a code or a value.
enum class RowCode : uint8_t { kFloat, kI8, kF8E4M3 };

struct NormRow {
  const float* x = nullptr;
  const float* gain = nullptr;   // or null
  const float* shift = nullptr;  // or null
  bool gain_plus_one = false;
  bool subtract_mean = true;
  float eps = 0;
  int64_t count = 0;
};

// Row functions of the producers, one table an instruction set. norm and activate write f32 and return max|out|.
struct ProduceTable {
  float (*norm)(const NormRow& row, float* out);
  float (*activate)(RowIn x, Act act, int64_t count, float* out);
  float (*gate)(RowIn x, RowIn up, Act act, int64_t count, float* out);
  // Rounds x * inverse to codes, or writes x (kFloat), in storage.
  void (*store)(const float* x, int64_t count, float inverse, RowCode code, DType storage, void* out);
};
extern const ProduceTable kProduceScalar, kProduceAvx2, kProduceAvx512, kProduceAvx512Bf16;
const ProduceTable& produce_table();

}  // namespace omni::cpu
