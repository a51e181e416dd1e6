#pragma once
#include <cstdint>

namespace omni::cpu {

// One row of pixels on its way into a padded image: x * gain + shift, through SiLU when asked.
struct PixelRow {
  const float* x = nullptr;  // [width, channels]
  int64_t width = 0, channels = 0;
  const float* gain = nullptr;  // [channels], or null: copied as it is
  const float* shift = nullptr;
  bool silu = false;
  void* out = nullptr;          // [width, padded_channels]
  int64_t padded_channels = 0;  // the tail is zeroed
  bool bf16 = false;
};

// sum[c] += x - pivot, square[c] += (x - pivot)^2 over one row: few enough f32 additions to stay exact.
struct PixelSums {
  const float* x = nullptr;  // [width, channels]
  int64_t width = 0, channels = 0;
  const float* pivot = nullptr;  // [channels]
  double* sum = nullptr;
  double* square = nullptr;
};

struct PadImageTable {
  void (*add_row)(const PixelSums& row);
  void (*write_row)(const PixelRow& row);
};
extern const PadImageTable kPadImageScalar, kPadImageAvx2, kPadImageAvx512, kPadImageAvx512Bf16;

}  // namespace omni::cpu
