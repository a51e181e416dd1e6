#pragma once
// PadImageTable over V. Include one simd_*.h first.
#include "kernels/cpu/math_inl.h"
#include "kernels/cpu/pad_image_table.h"

namespace omni::cpu {
namespace {

constexpr int64_t kL = V::kLanes;

// Sums of kBlock vectors of channels side by side; the last one has its first `tail` lanes.
template <int64_t kBlock>
void add_block(const PixelSums& row, int64_t channel, int64_t tail) {
  V s[kBlock], q[kBlock], p[kBlock];
  for (int64_t b = 0; b < kBlock; ++b) {
    s[b] = q[b] = V::set(0.0f);
    p[b] = V::load(row.pivot + channel + b * kL, b + 1 < kBlock ? kL : tail);
  }
  const float* x = row.x + channel;
  for (int64_t i = 0; i < row.width; ++i, x += row.channels) {
    for (int64_t b = 0; b < kBlock; ++b) {
      const V value = b + 1 < kBlock || tail == kL ? V::load(x + b * kL) : V::load(x + b * kL, tail);
      const V d = value - p[b];
      s[b] = s[b] + d;
      q[b] = V::fma(d, d, q[b]);
    }
  }
  float sums[kL], squares[kL];
  for (int64_t b = 0; b < kBlock; ++b) {
    s[b].store(sums);
    q[b].store(squares);
    const int64_t first = channel + b * kL, n = b + 1 < kBlock ? kL : tail;
    for (int64_t l = 0; l < n; ++l) row.sum[first + l] += static_cast<double>(sums[l]);
    for (int64_t l = 0; l < n; ++l) row.square[first + l] += static_cast<double>(squares[l]);
  }
}

void add_row(const PixelSums& row) {
  int64_t c = 0;
  for (; c + 4 * kL <= row.channels; c += 4 * kL) add_block<4>(row, c, kL);
  for (; c + 2 * kL <= row.channels; c += 2 * kL) add_block<2>(row, c, kL);
  for (; c < row.channels; c += kL) add_block<1>(row, c, row.channels - c < kL ? row.channels - c : kL);
}

// silu(x) = x / (1 + 2^(-x log2 e)), to about 5e-6 of itself where T is float; from x = -87 down the power is cut:
// -1e-36 instead of less.
template <class T>
V silu_for(V x) {
  if constexpr (sizeof(T) == 2) return coarse_silu(x);
  const V power = V::min(x * V::set(-1.442695041f), V::set(126.0f));
  return x / (V::set(1.0f) + exp2(power));
}

struct Copied {
  V operator()(V x, const PixelRow&, int64_t) const { return x; }
  V operator()(V x, const PixelRow&, int64_t, int64_t) const { return x; }
};
struct Normed {
  V operator()(V x, const PixelRow& row, int64_t c) const {
    return V::fma(x, V::load(row.gain + c), V::load(row.shift + c));
  }
  V operator()(V x, const PixelRow& row, int64_t c, int64_t n) const {
    return V::fma(x, V::load(row.gain + c, n), V::load(row.shift + c, n));
  }
};
template <class T>
struct NormedSilu {
  V operator()(V x, const PixelRow& row, int64_t c) const { return silu_for<T>(Normed()(x, row, c)); }
  V operator()(V x, const PixelRow& row, int64_t c, int64_t n) const { return silu_for<T>(Normed()(x, row, c, n)); }
};

template <class F, class T>
void write_pixels(const PixelRow& row) {
  const F value;
  T* out = static_cast<T*>(row.out);
  const float* x = row.x;
  for (int64_t i = 0; i < row.width; ++i, x += row.channels, out += row.padded_channels) {
    int64_t c = 0;
    for (; c + 2 * kL <= row.channels; c += 2 * kL)
      V::store_two(out + c, value(V::load(x + c), row, c), value(V::load(x + c + kL), row, c + kL));
    for (; c + kL <= row.channels; c += kL) value(V::load(x + c), row, c).store(out + c);
    if (c < row.channels)
      value(V::load(x + c, row.channels - c), row, c, row.channels - c).store(out + c, row.channels - c);
    for (c = row.channels; c < row.padded_channels; ++c) out[c] = 0;
  }
}

template <class T>
void write_as(const PixelRow& row) {
  if (row.gain == nullptr) return write_pixels<Copied, T>(row);
  if (row.silu) return write_pixels<NormedSilu<T>, T>(row);
  write_pixels<Normed, T>(row);
}

void write_row(const PixelRow& row) {
  if (row.bf16)
    write_as<uint16_t>(row);
  else
    write_as<float>(row);
}

}  // namespace
}  // namespace omni::cpu
