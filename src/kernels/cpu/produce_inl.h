#pragma once
// The row functions of ProduceTable over V. Include one simd_*.h first.
#include "kernels/cpu/math_inl.h"
#include "kernels/cpu/produce_table.h"

namespace omni::cpu {
namespace {

constexpr int64_t kL = V::kLanes;

inline V load_row(const void* data, bool bf16, int64_t at) {
  return bf16 ? V::load(static_cast<const uint16_t*>(data) + at) : V::load(static_cast<const float*>(data) + at);
}
inline V load_row(const void* data, bool bf16, int64_t at, int64_t n) {
  return bf16 ? V::load(static_cast<const uint16_t*>(data) + at, n) : V::load(static_cast<const float*>(data) + at, n);
}

// Calls f(index, lanes) for whole vectors, then once for the rest of the row.
template <class Whole, class Rest>
inline void over_row(int64_t count, Whole whole, Rest rest) {
  int64_t i = 0;
  for (; i + kL <= count; i += kL) whole(i);
  if (i < count) rest(i, count - i);
}

template <class F>
float map_row(RowIn x, int64_t count, float* out, F f) {
  V most = V::set(0.0f);
  over_row(
      count,
      [&](int64_t i) {
        const V y = f(load_row(x.data, x.bf16, i));
        most = V::max(most, y.abs());
        y.store(out + i);
      },
      [&](int64_t i, int64_t n) {
        const V y = f(load_row(x.data, x.bf16, i, n)).first(n, V::set(0.0f));
        most = V::max(most, y.abs());
        y.store(out + i, n);
      });
  return most.largest();
}

float activate_row(RowIn x, Act act, int64_t count, float* out) {
  switch (act) {
    case Act::kNone:
      return map_row(x, count, out, [](V a) { return a; });
    case Act::kGeluTanh:
      return map_row(x, count, out, [](V a) { return gelu_tanh(a); });
    case Act::kGeluErf:
      return map_row(x, count, out, [](V a) { return gelu_erf(a); });
    case Act::kQuickGelu:
      return map_row(x, count, out, [](V a) { return quick_gelu(a); });
    case Act::kSilu:
      return map_row(x, count, out, [](V a) { return silu(a); });
  }
  return 0;
}

float gate_row(RowIn x, RowIn up, Act act, int64_t count, float* out) {
  activate_row(x, act, count, out);
  V most = V::set(0.0f);
  over_row(
      count,
      [&](int64_t i) {
        const V y = V::load(out + i) * load_row(up.data, up.bf16, i);
        most = V::max(most, y.abs());
        y.store(out + i);
      },
      [&](int64_t i, int64_t n) {
        const V y = V::load(out + i, n) * load_row(up.data, up.bf16, i, n);
        most = V::max(most, y.abs());
        y.store(out + i, n);
      });
  return most.largest();
}

// Mean, then the mean square of what is left: two passes over a row that is in the cache.
float norm_row(const NormRow& row, float* out) {
  const V zero = V::set(0.0f);
  float mean = 0;
  if (row.subtract_mean) {
    V sum = zero;
    over_row(
        row.count, [&](int64_t i) { sum = sum + V::load(row.x + i); },
        [&](int64_t i, int64_t n) { sum = sum + V::load(row.x + i, n); });
    mean = sum.sum() / static_cast<float>(row.count);
  }
  const V center = V::set(mean);
  V square = zero;
  over_row(
      row.count,
      [&](int64_t i) {
        const V d = V::load(row.x + i) - center;
        square = V::fma(d, d, square);
      },
      [&](int64_t i, int64_t n) {
        const V d = (V::load(row.x + i, n) - center).first(n, zero);
        square = V::fma(d, d, square);
      });
  const V inverse = V::set(1.0f / __builtin_sqrtf(square.sum() / static_cast<float>(row.count) + row.eps));
  const V plus = V::set(row.gain_plus_one ? 1.0f : 0.0f);
  V most = zero;
  const auto finish = [&](V x, V gain, V shift) { return V::fma((x - center) * inverse, gain + plus, shift); };
  const V one = V::set(1.0f);
  over_row(
      row.count,
      [&](int64_t i) {
        const V gain = row.gain == nullptr ? one : V::load(row.gain + i);
        const V shift = row.shift == nullptr ? zero : V::load(row.shift + i);
        const V y = finish(V::load(row.x + i), gain, shift);
        most = V::max(most, y.abs());
        y.store(out + i);
      },
      [&](int64_t i, int64_t n) {
        const V gain = row.gain == nullptr ? one : V::load(row.gain + i, n);
        const V shift = row.shift == nullptr ? zero : V::load(row.shift + i, n);
        const V y = finish(V::load(row.x + i, n), gain, shift).first(n, zero);
        most = V::max(most, y.abs());
        y.store(out + i, n);
      });
  return most.largest();
}

// The E4M3 value nearest to x: below 2^-6 steps of 2^-9, above three bits of mantissa, at most 448.
inline V round_f8(V x) {
  const V size = V::min(x.abs(), V::set(448.0f));
  const V small = (size * V::set(512.0f)).round() * V::set(1.0f / 512);
  return V::where_below(size, V::set(0.015625f), small, size.three_bits()).sign_of(x);
}

// Its bits as a number 0..255: exponent bias 7 against 127.
inline V f8_bits(V grid) {
  const V size = grid.abs();
  const V normal = size.top_bits() - V::set(120.0f * 8);
  const V body = V::where_below(size, V::set(0.015625f), size * V::set(512.0f), normal);
  const V sign = V::where_below(V::set(1.0f).sign_of(grid), V::set(0.0f), V::set(128.0f), V::set(0.0f));
  return body + sign;
}

template <class F>
void store_codes(const float* x, int64_t count, DType storage, void* out, F code) {
  const auto put = [&](int64_t i, int64_t n) {
    const V y = code(V::load(x + i, n));
    if (storage == DType::kF32)
      y.store(static_cast<float*>(out) + i, n);
    else if (storage == DType::kBF16)
      y.store(static_cast<uint16_t*>(out) + i, n);
    else if (storage == DType::kU8)
      (y + V::set(128.0f)).store_bytes(static_cast<uint8_t*>(out) + i, n);
    else if (storage == DType::kF8E4M3)
      f8_bits(y).store_bytes(static_cast<uint8_t*>(out) + i, n);
    else
      y.store_bytes(static_cast<uint8_t*>(out) + i, n);
  };
  over_row(
      count, [&](int64_t i) { put(i, kL); }, put);
}

void store_row(const float* x, int64_t count, float inverse, RowCode code, DType storage, void* out) {
  const V scale = V::set(inverse);
  switch (code) {
    case RowCode::kFloat:
      store_codes(x, count, storage, out, [](V a) { return a; });
      return;
    case RowCode::kI8: {
      const V most = V::set(127.0f), least = V::set(-127.0f);
      store_codes(x, count, storage, out, [&](V a) { return V::min(V::max(a * scale, least), most).round(); });
      return;
    }
    case RowCode::kF8E4M3:
      store_codes(x, count, storage, out, [&](V a) { return round_f8(a * scale); });
      return;
  }
}

}  // namespace
}  // namespace omni::cpu
