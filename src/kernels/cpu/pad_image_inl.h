#pragma once
// PadImageTable over V. Include one simd_*.h first.
#include "kernels/cpu/math_inl.h"
#include "kernels/cpu/pad_image_table.h"

namespace omni::cpu {
namespace {

constexpr int64_t kL = V::kLanes;
constexpr int64_t kBlock = 4;  // vectors of channels summed side by side

void add_block(const float* x, int64_t width, int64_t channels, const float* pivot, double* sum, double* square) {
  V s[kBlock], q[kBlock], p[kBlock];
  for (int64_t b = 0; b < kBlock; ++b) {
    s[b] = q[b] = V::set(0.0f);
    p[b] = V::load(pivot + b * kL);
  }
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t b = 0; b < kBlock; ++b) {
      const V d = V::load(x + i * channels + b * kL) - p[b];
      s[b] = s[b] + d;
      q[b] = V::fma(d, d, q[b]);
    }
  }
  float lanes[kL];
  for (int64_t b = 0; b < kBlock; ++b) {
    s[b].store(lanes);
    for (int64_t l = 0; l < kL; ++l) sum[b * kL + l] += static_cast<double>(lanes[l]);
    q[b].store(lanes);
    for (int64_t l = 0; l < kL; ++l) square[b * kL + l] += static_cast<double>(lanes[l]);
  }
}

void add_row(const float* x, int64_t width, int64_t channels, const float* pivot, double* sum, double* square) {
  int64_t c = 0;
  for (; c + kBlock * kL <= channels; c += kBlock * kL)
    add_block(x + c, width, channels, pivot + c, sum + c, square + c);
  for (; c < channels; ++c) {
    for (int64_t i = 0; i < width; ++i) {
      const double d = static_cast<double>(x[i * channels + c]) - static_cast<double>(pivot[c]);
      sum[c] += d;
      square[c] += d * d;
    }
  }
}

template <class T>
void write_pixels(const PixelRow& row) {
  T* out = static_cast<T*>(row.out);
  for (int64_t i = 0; i < row.width; ++i) {
    const float* x = row.x + i * row.channels;
    for (int64_t c = 0; c < row.channels; c += kL) {
      const int64_t n = row.channels - c < kL ? row.channels - c : kL;
      V y = V::load(x + c, n);
      if (row.mean != nullptr) {
        y = V::fma(y - V::load(row.mean + c, n), V::load(row.gain + c, n), V::load(row.shift + c, n));
        if (row.silu) y = silu(y);
      }
      for (int64_t u = 0; u < row.upsample; ++u) y.store(out + u * row.padded_channels + c, n);
    }
    for (int64_t u = 0; u < row.upsample; ++u) {
      for (int64_t c = row.channels; c < row.padded_channels; ++c) out[u * row.padded_channels + c] = 0;
    }
    out += row.upsample * row.padded_channels;
  }
}

void write_row(const PixelRow& row) {
  if (row.bf16)
    write_pixels<uint16_t>(row);
  else
    write_pixels<float>(row);
}

}  // namespace
}  // namespace omni::cpu
