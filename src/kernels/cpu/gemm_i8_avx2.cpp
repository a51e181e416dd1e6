#include "kernels/cpu/gemm_table.h"

#if defined(__x86_64__)
#include "kernels/cpu/simd_avx2.h"
// The vector type comes first.
#include "kernels/cpu/gemm_finish.h"
#include "kernels/cpu/gemm_tiles_avx2.h"

namespace omni::cpu {
namespace {

// Pairs of s16: |a0 b0 + a1 b1| <= 2 * 128 * 128 fits i32 by far.
struct MultiplyS16 {
  using Accumulator = __m256i;
  static Accumulator zero() { return _mm256_setzero_si256(); }
  static Accumulator load(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(std::byte* p, Accumulator acc) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), acc); }
  static Accumulator multiply_add(Accumulator acc, __m256i a, __m256i b) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
  }
};

// kPanelI8Pairs: a step is 64 bytes of s8 that become s16.
void expand(const PanelView& w, int64_t panel, int64_t first, int64_t steps, float*, std::byte* out) {
  constexpr int64_t kStored = kStepBytes / 2;
  const std::byte* from = w.data + panel * w.panel_bytes + first * kStored;
  for (int64_t i = 0; i < steps * kStored; i += 16) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 2 * i), _mm256_cvtepi8_epi16(codes));
  }
}

constexpr GemmTable make_table() {
  GemmTable table{.step = 2, .finish = finish_tile<int32_t>, .expand = expand};
  fill_tiles<MultiplyS16>(table);
  return table;
}
constexpr GemmTable kTable = make_table();

}  // namespace

const GemmTable* gemm_i8_avx2() {
  return &kTable;
}

}  // namespace omni::cpu
#else
namespace omni::cpu {
const GemmTable* gemm_i8_avx2() {
  return nullptr;
}
}  // namespace omni::cpu
#endif
