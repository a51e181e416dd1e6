#pragma once
#include "kernels/cpu/gemm_table.h"
#include "tensor/exec.h"

namespace omni::cpu {

// y = A * panels^T. A's rows lie in `lines` lines of `width` rows each; a row is the concatenation of `segments`
// (byte offsets from the row's start) of segment_steps steps. A linear has one line and one segment, a 3x3 convolution
// a line an image row and a segment a tap.
struct Gemm {
  const GemmTable* table = nullptr;
  const std::byte* a = nullptr;
  int64_t lines = 1, width = 0;
  int64_t line_stride = 0, row_stride = 0;  // bytes
  int64_t output_width = 0;                 // rows of the output from line to line; 0: width
  const int64_t* segments = nullptr;
  int64_t segment_count = 1;
  int64_t segment_steps = 0;
  PanelView panels{};
  int64_t columns = 0;  // outputs
  // Of row 0 and column 0; vectors [columns], not padded. column_scale and columns are set by gemm.
  TileOutput out{};
};

// Computes all tiles on exec.pool; scratch from exec.scratch.
void gemm(Exec& exec, const Gemm& job);

// How rows are cut into tiles, and tiles into blocks that one thread multiplies with one panel: tile t covers rows
// [first_row(t), first_row(t + 1)) of a line, none longer than max_rows and all about equally long.
struct GemmSplit {
  int64_t width = 0;
  int64_t tiles_per_line = 0, tiles = 0;
  int64_t tiles_per_block = 0, blocks = 0;
  int64_t panels = 0;

  int64_t first_row(int64_t tile_of_line) const { return tile_of_line * width / tiles_per_line; }
};
struct GemmShape {
  int64_t lines = 1, width = 0, columns = 0;
  int64_t row_bytes = 0;  // of A that a row adds; a block of long rows is kept in the L2 cache by being lower
  int max_rows = 0;
  int threads = 1;
  bool expands = false;  // a panel costs an expansion a block: blocks are kept larger
};
GemmSplit choose_split(const GemmShape& shape);

}  // namespace omni::cpu
