#include "kernels/cpu/simd_scalar.h"
// The vector type comes first.
#include "kernels/cpu/gemm_finish.h"
#include "kernels/cpu/gemm_table.h"

// Plain C++ for every architecture: what convolution runs on where no wider instruction set is available.
namespace omni::cpu {
namespace {

template <int kRows>
void tile_rows(const TileInput& in, void* accumulators) {
  float* out = static_cast<float*>(accumulators);
  for (int r = 0; r < kRows; ++r) {
    float acc[kPanelColumns];
    for (int c = 0; c < kPanelColumns; ++c) acc[c] = in.add ? out[r * kPanelColumns + c] : 0.0f;
    const float* panel = reinterpret_cast<const float*>(in.panel);
    for (int64_t i = 0; i < in.run_count; ++i) {
      const std::byte* a = in.a + in.runs[i].offset + r * in.row_stride;
      for (int64_t s = 0; s < in.runs[i].steps; ++s, panel += kPanelColumns) {
        const float x = reinterpret_cast<const float*>(a)[s];
        for (int c = 0; c < kPanelColumns; ++c) acc[c] += x * panel[c];
      }
    }
    for (int c = 0; c < kPanelColumns; ++c) out[r * kPanelColumns + c] = acc[c];
  }
}

constexpr GemmTable make_table() {
  GemmTable table{.max_rows = 4, .step = 1, .finish = finish_tile<float>};
  table.tile[1] = tile_rows<1>;
  table.tile[2] = tile_rows<2>;
  table.tile[3] = tile_rows<3>;
  table.tile[4] = tile_rows<4>;
  return table;
}
constexpr GemmTable kTable = make_table();

}  // namespace

const GemmTable* gemm_f32_scalar() {
  return &kTable;
}

}  // namespace omni::cpu
