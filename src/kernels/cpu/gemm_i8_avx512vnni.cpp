#include "kernels/cpu/gemm_table.h"

#if defined(__x86_64__)
#include "kernels/cpu/simd_avx512.h"
// The vector type comes first.
#include "kernels/cpu/gemm_finish.h"
#include "kernels/cpu/gemm_tiles_avx512.h"

namespace omni::cpu {
namespace {

struct MultiplyI8 {
  using Accumulator = __m512i;
  static Accumulator zero() { return _mm512_setzero_si512(); }
  static Accumulator load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static void store(std::byte* p, Accumulator acc) { _mm512_storeu_si512(p, acc); }
  static Accumulator multiply_add(Accumulator acc, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(acc, a, b); }
};

constexpr GemmTable make_table() {
  GemmTable table{.step = 4, .finish = finish_tile<int32_t>};
  fill_tiles<MultiplyI8>(table);
  return table;
}
constexpr GemmTable kTable = make_table();

}  // namespace

const GemmTable* gemm_i8_avx512() {
  return &kTable;
}

}  // namespace omni::cpu
#else
namespace omni::cpu {
const GemmTable* gemm_i8_avx512() {
  return nullptr;
}
}  // namespace omni::cpu
#endif
