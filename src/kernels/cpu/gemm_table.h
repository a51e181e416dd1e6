#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/panel.h"
#include "kernels/linear.h"

// What one instruction set offers to the driver in gemm.h: tables of plain functions, so that files compiled for wider
// instruction sets share no inline code with the rest.
namespace omni::cpu {

inline constexpr int kMaxTileRows = 12;
inline constexpr int kStepBytes = 128;   // bytes of a compute panel that one step of k takes: 32 columns of 4 bytes
inline constexpr int kBlockSteps = 256;  // steps of k between two visits of a tile: 32 KiB of panel

// Part of a row of A that lies contiguously: byte offset from the row's start, length in steps.
struct Run {
  int64_t offset = 0, steps = 0;
};

// One tile: acc[rows][32] (+)= A[rows] * panel over the runs. `add`: continue from acc, else start from zero.
struct TileInput {
  const std::byte* a = nullptr;
  int64_t row_stride = 0;  // bytes
  const Run* runs = nullptr;
  int64_t run_count = 0;
  const std::byte* panel = nullptr;
  bool add = false;
};
using TileFunction = void (*)(const TileInput& in, void* acc);

// Turns accumulators into outputs, in the order of kernels/linear.h. Vectors of one panel are padded to 32 columns.
struct TileOutput {
  const float* row_scale = nullptr;  // of the tile's first row; step 0: one for all rows
  int64_t row_scale_step = 0;
  const float* column_scale = nullptr;
  const int32_t* sums = nullptr;  // accumulators are i32 of codes + 128: 128 * sums is subtracted
  const float* bias = nullptr;
  const float* gate = nullptr;
  Act act = Act::kNone;
  const float* residual = nullptr;
  int64_t residual_stride = 0;  // elements
  void* y = nullptr;
  int64_t y_stride = 0;  // elements
  bool y_is_bf16 = false;
  int columns = kPanelColumns;  // of the panel that exist
};
using FinishFunction = void (*)(const void* acc, int64_t rows, const TileOutput& out);

// Expands steps [first, first + steps) of a stored panel into the compute panel `out`; first is even.
// groups: room for one group's scales and minimums, 64 floats.
using ExpandFunction = void (*)(const PanelView& panels, int64_t panel, int64_t first, int64_t steps, float* groups,
                                std::byte* out);

struct GemmTable {
  TileFunction tile[kMaxTileRows + 1] = {};  // by number of rows
  int max_rows = 0;
  int step = 1;                     // values of k a step: 1 f32, 2 bf16 or s16, 4 u8
  FinishFunction finish = nullptr;  // for this table's accumulators
  ExpandFunction expand = nullptr;  // from kPanelCodes (i8: from kPanelI8Pairs)
};

// Null where the compiler's target is not x86.
const GemmTable* gemm_f32_scalar();  // never null
const GemmTable* gemm_f32_avx2();
const GemmTable* gemm_f32_avx512();
const GemmTable* gemm_bf16_avx512();  // A and panels bf16
const GemmTable* gemm_i8_avx2();      // A s16, panels s16
const GemmTable* gemm_i8_avx512();    // A u8 = code + 128, panels s8
// Of i32 accumulators, where AVX512_BF16 rounds to bf16.
FinishFunction finish_i32_avx512bf16();

}  // namespace omni::cpu
