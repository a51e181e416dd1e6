#include "kernels/cpu/gemm_table.h"

#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/gemm_finish.h"
#include "kernels/cpu/gemm_tiles_avx512.h"
#include "kernels/cpu/panel_expand_avx512.h"

namespace omni::cpu {
namespace {

struct MultiplyF32 : FloatAccumulators {
  static Accumulator multiply_add(Accumulator acc, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), acc);
  }
};

// A pair of k becomes two steps.
struct WriteF32 {
  void write(std::byte* out, int64_t pair, int half, __m512 even, __m512 odd) const {
    std::byte* to = out + 2 * pair * kStepBytes + 64 * half;
    _mm512_storeu_ps(to, even);
    _mm512_storeu_ps(to + kStepBytes, odd);
  }
};

void expand(const PanelView& w, int64_t panel, int64_t first, int64_t steps, float* groups, std::byte* out) {
  expand_panel<WriteF32>(w, panel, first, steps, groups, out);
}

constexpr GemmTable make_table() {
  GemmTable table{.step = 1, .finish = finish_tile<float>, .expand = expand};
  fill_tiles<MultiplyF32>(table);
  return table;
}
constexpr GemmTable kTable = make_table();

}  // namespace

const GemmTable* gemm_f32_avx512() {
  return &kTable;
}

}  // namespace omni::cpu
#else
namespace omni::cpu {
const GemmTable* gemm_f32_avx512() {
  return nullptr;
}
}  // namespace omni::cpu
#endif
