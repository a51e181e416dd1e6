#pragma once
#include <cstdint>

namespace omni::cpu {

// One row of pixels on its way into a padded image.
struct PixelRow {
  const float* x = nullptr;  // [width, channels]
  int64_t width = 0, channels = 0;
  const float* mean = nullptr;  // [channels], or null: copied as it is
  const float* gain = nullptr;  // 1 / deviation * gain
  const float* shift = nullptr;
  bool silu = false;
  int64_t upsample = 1;         // each pixel this often
  void* out = nullptr;          // [width * upsample, padded_channels]
  int64_t padded_channels = 0;  // the tail is zeroed
  bool bf16 = false;
};

struct PadImageTable {
  // sum[c] += x - pivot, square[c] += (x - pivot)^2 over the row. One row a call bounds the error of f32 sums.
  void (*add_row)(const float* x, int64_t width, int64_t channels, const float* pivot, double* sum, double* square);
  void (*write_row)(const PixelRow& row);
};
extern const PadImageTable kPadImageScalar, kPadImageAvx2, kPadImageAvx512;

}  // namespace omni::cpu
