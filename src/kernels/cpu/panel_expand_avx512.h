#pragma once
#include <immintrin.h>

#include "kernels/cpu/gemm_table.h"
#include "kernels/cpu/panel_codes.h"
#include "kernels/cpu/panel_scales.h"

// Expansion of kPanelCodes to f32 vectors of 16 columns, AVX-512. Included by files of one instruction set each; Writer
// decides what becomes of a pair of k: write(out, pair, half, even, odd).
namespace omni::cpu {
namespace {

// Decoders: a pair of k of columns [16 half, 16 half + 16).
struct DecodeTable4 {
  static constexpr int kBits = 4;
  __m512 table;
  explicit DecodeTable4(DType dtype) {
    float values[16];
    nibble_values(dtype, values);
    table = _mm512_loadu_ps(values);
  }
  void operator()(const std::byte* pair, int half, __m512& even, __m512& odd) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pair + 16 * half));
    const __m512i x = _mm512_cvtepu8_epi32(bytes);
    even = _mm512_permutexvar_ps(x, table);  // reads the low 4 bits of an index only
    odd = _mm512_permutexvar_ps(_mm512_srli_epi32(x, 4), table);
  }
};

template <int kPlanes>
struct DecodePlanes {
  static constexpr int kBits = 4 + kPlanes;
  __m512i bias;
  explicit DecodePlanes(DType dtype) : bias(_mm512_set1_epi32(code_bias(dtype))) {}
  void operator()(const std::byte* pair, int half, __m512& even, __m512& odd) const {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(pair + 16 * half));
    const __m512i x = _mm512_cvtepu8_epi32(bytes);
    __m512i low = _mm512_and_si512(x, _mm512_set1_epi32(15));
    __m512i high = _mm512_srli_epi32(x, 4);
#pragma GCC unroll 2
    for (int plane = 0; plane < kPlanes; ++plane) {
      const __mmask16 e = load_mask(pair + 32 + 8 * plane + 2 * half);
      const __mmask16 o = load_mask(pair + 32 + 8 * plane + 4 + 2 * half);
      const __m512i bit = _mm512_set1_epi32(16 << plane);
      low = _mm512_mask_or_epi32(low, e, low, bit);
      high = _mm512_mask_or_epi32(high, o, high, bit);
    }
    even = _mm512_cvtepi32_ps(_mm512_sub_epi32(low, bias));
    odd = _mm512_cvtepi32_ps(_mm512_sub_epi32(high, bias));
  }
  static __mmask16 load_mask(const std::byte* p) {
    uint16_t bits;
    __builtin_memcpy(&bits, p, 2);
    return bits;
  }
};

// 16 words of two codes each: the even k in the low byte.
inline __m512i load_byte_pairs(const std::byte* pair, int half) {
  return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(pair + 32 * half)));
}

struct DecodeI8 {
  static constexpr int kBits = 8;
  explicit DecodeI8(DType) {}
  void operator()(const std::byte* pair, int half, __m512& even, __m512& odd) const {
    const __m512i x = load_byte_pairs(pair, half);
    even = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(x, 24), 24));
    odd = _mm512_cvtepi32_ps(_mm512_srai_epi32(x, 8));
  }
};

struct DecodeU8 {
  static constexpr int kBits = 8;
  explicit DecodeU8(DType) {}
  void operator()(const std::byte* pair, int half, __m512& even, __m512& odd) const {
    const __m512i x = load_byte_pairs(pair, half), low = _mm512_set1_epi32(255);
    even = _mm512_cvtepi32_ps(_mm512_and_si512(x, low));
    odd = _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(x, 8), low));
  }
};

// Small floats: exponent and mantissa moved to f32's place, the difference of the biases multiplied away.
template <int kShift, int kBiasDifference>
struct DecodeF8 {
  static constexpr int kBits = 8;
  explicit DecodeF8(DType) {}
  static __m512 value(__m512i sign, __m512i magnitude) {
    const __m512i bits = _mm512_or_si512(_mm512_and_si512(sign, _mm512_set1_epi32(INT32_MIN)), magnitude);
    const __m512 factor = _mm512_castsi512_ps(_mm512_set1_epi32((127 + kBiasDifference) << 23));
    return _mm512_mul_ps(_mm512_castsi512_ps(bits), factor);
  }
  void operator()(const std::byte* pair, int half, __m512& even, __m512& odd) const {
    const __m512i x = load_byte_pairs(pair, half), mask = _mm512_set1_epi32(0x7f << kShift);
    even = value(_mm512_slli_epi32(x, 24), _mm512_and_si512(_mm512_slli_epi32(x, kShift), mask));
    odd = value(_mm512_slli_epi32(x, 16), _mm512_and_si512(_mm512_slli_epi32(x, kShift - 8), mask));
  }
};

template <class Decode, class Writer>
void expand_exact(const PanelView& w, const std::byte* codes, int64_t pairs, std::byte* out) {
  const Decode decode(w.codes_dtype);
  const Writer writer;
  for (int64_t p = 0; p < pairs; ++p, codes += code_pair_bytes(Decode::kBits)) {
    for (int half = 0; half < 2; ++half) {
      __m512 even, odd;
      decode(codes, half, even, odd);
      writer.write(out, p, half, even, odd);
    }
  }
}

template <class Decode, class Writer, bool kMinimum>
void expand_scaled(const PanelView& w, const std::byte* codes, int64_t panel, int64_t first_k, int64_t pairs,
                   float* groups, std::byte* out) {
  const Decode decode(w.codes_dtype);
  const Writer writer;
  const int64_t group_pairs = w.scales.group_columns == 0 ? (w.k + 1) / 2 : w.scales.group_columns / 2;
  float* scale = groups;
  float* minimum = groups + kPanelColumns;
  for (int64_t p = 0; p < pairs;) {
    const int64_t group = (first_k / 2 + p) / group_pairs;
    const int64_t group_end = (group + 1) * group_pairs - first_k / 2;
    const int64_t end = group_end < pairs ? group_end : pairs;
    load_group(w, panel, group, scale, minimum);
    const __m512 s[2] = {_mm512_loadu_ps(scale), _mm512_loadu_ps(scale + 16)};
    const __m512 m[2] = {_mm512_loadu_ps(minimum), _mm512_loadu_ps(minimum + 16)};
    for (; p < end; ++p, codes += code_pair_bytes(Decode::kBits)) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        __m512 even, odd;
        decode(codes, half, even, odd);
        even = kMinimum ? _mm512_fmsub_ps(even, s[half], m[half]) : _mm512_mul_ps(even, s[half]);
        odd = kMinimum ? _mm512_fmsub_ps(odd, s[half], m[half]) : _mm512_mul_ps(odd, s[half]);
        writer.write(out, p, half, even, odd);
      }
    }
  }
}

template <class Writer, class Decode>
void expand_codes(const PanelView& w, int64_t panel, int64_t first_k, int64_t count, float* groups, std::byte* out) {
  const int64_t pairs = (count + 1) / 2;
  const std::byte* codes = w.data + panel * w.panel_bytes + first_k / 2 * code_pair_bytes(Decode::kBits);
  if (w.column_scales) return expand_exact<Decode, Writer>(w, codes, pairs, out);
  if (w.zero == Zero::kNone) return expand_scaled<Decode, Writer, false>(w, codes, panel, first_k, pairs, groups, out);
  expand_scaled<Decode, Writer, true>(w, codes, panel, first_k, pairs, groups, out);
}

// Values of k [first_k, first_k + count), first_k even.
template <class Writer>
void expand_panel(const PanelView& w, int64_t panel, int64_t first_k, int64_t count, float* groups, std::byte* out) {
  switch (w.codes_dtype) {
    case DType::kI4:
    case DType::kU4:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      return expand_codes<Writer, DecodeTable4>(w, panel, first_k, count, groups, out);
    case DType::kI5:
    case DType::kU5:
      return expand_codes<Writer, DecodePlanes<1>>(w, panel, first_k, count, groups, out);
    case DType::kI6:
      return expand_codes<Writer, DecodePlanes<2>>(w, panel, first_k, count, groups, out);
    case DType::kI8:
      return expand_codes<Writer, DecodeI8>(w, panel, first_k, count, groups, out);
    case DType::kU8:
      return expand_codes<Writer, DecodeU8>(w, panel, first_k, count, groups, out);
    case DType::kF8E4M3:
      return expand_codes<Writer, DecodeF8<20, 120>>(w, panel, first_k, count, groups, out);
    case DType::kF8E5M2:
      return expand_codes<Writer, DecodeF8<21, 112>>(w, panel, first_k, count, groups, out);
    case DType::kNone:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E8M0:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
      break;
  }
}

}  // namespace
}  // namespace omni::cpu
