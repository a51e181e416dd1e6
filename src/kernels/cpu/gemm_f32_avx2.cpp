#include "kernels/cpu/gemm_table.h"

#if defined(__x86_64__)
#include "kernels/cpu/simd_avx2.h"
// The vector type comes first.
#include "kernels/cpu/gemm_finish.h"
#include "kernels/cpu/gemm_tiles_avx2.h"
#include "kernels/cpu/panel_expand_loops.h"

namespace omni::cpu {
namespace {

struct MultiplyF32 {
  using Accumulator = __m256;
  static Accumulator zero() { return _mm256_setzero_ps(); }
  static Accumulator load(const std::byte* p) { return _mm256_loadu_ps(reinterpret_cast<const float*>(p)); }
  static void store(std::byte* p, Accumulator acc) { _mm256_storeu_ps(reinterpret_cast<float*>(p), acc); }
  static Accumulator multiply_add(Accumulator acc, __m256i a, __m256i b) {
    return _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), acc);
  }
};

constexpr GemmTable make_table() {
  GemmTable table{.step = 1, .finish = finish_tile<float>, .expand = expand_loops};
  fill_tiles<MultiplyF32>(table);
  return table;
}
constexpr GemmTable kTable = make_table();

}  // namespace

const GemmTable* gemm_f32_avx2() {
  return &kTable;
}

}  // namespace omni::cpu
#else
namespace omni::cpu {
const GemmTable* gemm_f32_avx2() {
  return nullptr;
}
}  // namespace omni::cpu
#endif
