#include "kernels/cpu/gemm_table.h"

#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/gemm_finish.h"
#include "kernels/cpu/gemm_tiles_avx512.h"
#include "kernels/cpu/panel_expand_avx512.h"

namespace omni::cpu {
namespace {

struct MultiplyBF16 : FloatAccumulators {
  static Accumulator multiply_add(Accumulator acc, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(acc, (__m512bh)b, (__m512bh)a);
  }
};

// A pair of k is one step: words (even, odd) of each column.
struct WriteBF16 {
  __m512i interleave;
  WriteBF16() {
    uint16_t order[32];
    for (int i = 0; i < 16; ++i) {
      order[2 * i] = static_cast<uint16_t>(i);
      order[2 * i + 1] = static_cast<uint16_t>(16 + i);
    }
    interleave = _mm512_loadu_si512(order);
  }
  void write(std::byte* out, int64_t pair, int half, __m512 even, __m512 odd) const {
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    _mm512_storeu_si512(out + pair * kStepBytes + 64 * half, _mm512_permutexvar_epi16(interleave, both));
  }
};

void expand(const PanelView& w, int64_t panel, int64_t first, int64_t steps, float* groups, std::byte* out) {
  expand_panel<WriteBF16>(w, panel, 2 * first, 2 * steps, groups, out);
}

constexpr GemmTable make_table() {
  GemmTable table{.step = 2, .finish = finish_tile<float>, .expand = expand};
  fill_tiles<MultiplyBF16>(table);
  return table;
}
constexpr GemmTable kTable = make_table();

}  // namespace

const GemmTable* gemm_bf16_avx512() {
  return &kTable;
}

FinishFunction finish_i32_avx512bf16() {
  return finish_tile<int32_t>;
}

}  // namespace omni::cpu
#else
namespace omni::cpu {
const GemmTable* gemm_bf16_avx512() {
  return nullptr;
}
FinishFunction finish_i32_avx512bf16() {
  return nullptr;
}
}  // namespace omni::cpu
#endif
