#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <cassert>

#include "kernels/cpu/panel_scales.h"

namespace omni::cpu {
namespace {

constexpr int64_t kTilesPerBlock = 24;  // 288 rows: a block of A (32 bytes x 32 steps a row) stays in the L2 cache
constexpr int64_t kUnitsPerThread = 4;  // enough to even out threads that are interrupted
constexpr int64_t kCachedRowBytes = 512 << 10;
constexpr int64_t kTilesForPanel = 12;     // least tiles that pay for fetching a panel
constexpr int64_t kTilesForExpansion = 4;  // least tiles that pay for an expansion

// Steps [first_step, first_step + steps) of k, as runs of A.
struct Block {
  int64_t first_run = 0, runs = 0;
  int64_t first_step = 0, steps = 0;
};

// Work memory of one thread, and the plan all threads share.
struct Plan {
  const Gemm& job;
  GemmSplit split{};
  const Run* runs = nullptr;
  const Block* blocks = nullptr;
  const int64_t* first_rows = nullptr;  // of the tiles of a line, and the line's end
  int64_t block_count = 0;
  std::byte* scratch = nullptr;
  int64_t scratch_bytes = 0, expanded_offset = 0;
};

// Vectors of one panel padded to 32 columns, and room for one group's scales and minimums.
struct PanelVectors {
  alignas(64) float column_scale[kPanelColumns];
  alignas(64) float bias[kPanelColumns];
  alignas(64) float gate[kPanelColumns];
  alignas(64) float groups[2 * kPanelColumns];
};

void copy_padded(const float* from, int64_t begin, int64_t count, float* to) {
  for (int64_t c = 0; c < kPanelColumns; ++c) to[c] = c < count ? from[begin + c] : 0.0f;
}

TileOutput panel_output(const Gemm& job, int64_t panel, PanelVectors& vectors) {
  TileOutput out = job.out;
  const int64_t begin = panel * kPanelColumns;
  const int64_t count = std::min(kPanelColumns, job.columns - begin);
  out.columns = static_cast<int>(count);
  if (job.panels.column_scales) {
    float none[kPanelColumns];
    load_group(job.panels, panel, 0, vectors.column_scale, none);
    out.column_scale = vectors.column_scale;
  }
  if (out.bias != nullptr) {
    copy_padded(out.bias, begin, count, vectors.bias);
    out.bias = vectors.bias;
  }
  if (out.gate != nullptr) {
    copy_padded(out.gate, begin, count, vectors.gate);
    out.gate = vectors.gate;
  }
  if (out.sums != nullptr) out.sums += begin;
  if (out.residual != nullptr) out.residual += begin;
  out.y = static_cast<std::byte*>(out.y) + begin * (out.y_is_bf16 ? 2 : 4);
  return out;
}

TileOutput tile_output(const TileOutput& panel, int64_t row) {
  TileOutput out = panel;
  if (out.row_scale != nullptr) out.row_scale += row * out.row_scale_step;
  if (out.residual != nullptr) out.residual += row * out.residual_stride;
  out.y = static_cast<std::byte*>(out.y) + row * out.y_stride * (out.y_is_bf16 ? 2 : 4);
  return out;
}

// One block of rows times one panel.
void run_unit(const Plan& plan, int64_t unit, int thread) {
  const Gemm& job = plan.job;
  const GemmTable& table = *job.table;
  const GemmSplit& split = plan.split;
  const int64_t panel = unit % split.panels;
  const int64_t first_tile = unit / split.panels * split.tiles_per_block;
  const int64_t last_tile = std::min(first_tile + split.tiles_per_block, split.tiles);
  std::byte* const scratch = plan.scratch + thread * plan.scratch_bytes;
  std::byte* const expanded = scratch + plan.expanded_offset;
  constexpr int64_t kTileBytes = kMaxTileRows * kStepBytes;
  const int64_t output_width = job.output_width == 0 ? job.width : job.output_width;
  PanelVectors vectors;
  const TileOutput panel_out = panel_output(job, panel, vectors);
  for (int64_t b = 0; b < plan.block_count; ++b) {
    const Block& block = plan.blocks[b];
    TileInput in{.row_stride = job.row_stride, .runs = plan.runs + block.first_run, .run_count = block.runs};
    in.add = b > 0;
    in.panel = job.panels.data + panel * job.panels.panel_bytes + block.first_step * kStepBytes;
    if (plan.expanded_offset > 0) {
      table.expand(job.panels, panel, block.first_step, block.steps, vectors.groups, expanded);
      in.panel = expanded;
    }
    int64_t line = first_tile / split.tiles_per_line, of_line = first_tile % split.tiles_per_line;
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      const int64_t row = plan.first_rows[of_line], rows = plan.first_rows[of_line + 1] - row;
      // One block of k: the accumulators of all tiles may share a place that stays in the L1 cache.
      std::byte* acc = scratch + (plan.block_count == 1 ? 0 : (tile - first_tile) * kTileBytes);
      in.a = job.a + line * job.line_stride + row * job.row_stride;
      table.tile[rows](in, acc);
      if (b + 1 == plan.block_count) table.finish(acc, rows, tile_output(panel_out, line * output_width + row));
      if (++of_line == split.tiles_per_line) {
        of_line = 0;
        ++line;
      }
    }
  }
}

// Cuts the segments into runs of at most kBlockSteps, and groups consecutive runs into blocks of at most that.
void cut_blocks(const Gemm& job, Run* runs, Block* blocks, int64_t& block_count) {
  const int64_t step_bytes = 4;
  int64_t run = 0, step = 0;
  block_count = 0;
  for (int64_t segment = 0; segment < job.segment_count; ++segment) {
    for (int64_t at = 0; at < job.segment_steps; at += kBlockSteps, ++run) {
      const int64_t steps = std::min<int64_t>(kBlockSteps, job.segment_steps - at);
      runs[run] = {job.segments[segment] + at * step_bytes, steps};
      if (block_count == 0 || blocks[block_count - 1].steps + steps > kBlockSteps)
        blocks[block_count++] = {run, 0, step, 0};
      Block& block = blocks[block_count - 1];
      ++block.runs;
      block.steps += steps;
      step += steps;
    }
  }
}

template <class T>
T* scratch_array(Exec& exec, int64_t count) {
  return exec.scratch.tensor(DType::kU8, Shape{count * static_cast<int64_t>(sizeof(T))}).template data<T>();
}

}  // namespace

GemmSplit choose_split(const GemmShape& shape) {
  GemmSplit split;
  split.width = shape.width;
  split.tiles_per_line = (shape.width + shape.max_rows - 1) / shape.max_rows;
  split.tiles = shape.lines * split.tiles_per_line;
  split.panels = (shape.columns + kPanelColumns - 1) / kPanelColumns;
  if (split.tiles == 0 || split.panels == 0) return split;
  const int64_t least = shape.expands ? kTilesForExpansion : 1;
  int64_t most = kTilesPerBlock;
  if (!shape.expands && shape.row_bytes > 0)
    most = std::clamp(kCachedRowBytes / (shape.row_bytes * shape.max_rows), kTilesForPanel, kTilesPerBlock);
  int64_t blocks = (split.tiles + most - 1) / most;
  const int64_t wanted = (kUnitsPerThread * shape.threads + split.panels - 1) / split.panels;
  if (shape.threads > 1) blocks = std::max(blocks, std::min(wanted, split.tiles / least));
  split.tiles_per_block = (split.tiles + blocks - 1) / blocks;
  split.blocks = (split.tiles + split.tiles_per_block - 1) / split.tiles_per_block;
  return split;
}

void gemm(Exec& exec, const Gemm& job) {
  const bool expands = job.panels.layout == Layout::kPanelCodes || job.panels.layout == Layout::kPanelI8Pairs;
  assert(!expands || job.table->expand != nullptr);
  const Scratch::Mark mark(exec.scratch);
  Plan plan{.job = job};
  plan.split = choose_split({.lines = job.lines,
                             .width = job.width,
                             .columns = job.columns,
                             .row_bytes = job.row_stride,
                             .max_rows = job.table->max_rows,
                             .threads = exec.threads(),
                             .expands = expands});
  if (plan.split.blocks == 0) return;
  const int64_t runs = job.segment_count * ((job.segment_steps + kBlockSteps - 1) / kBlockSteps);
  Run* run = scratch_array<Run>(exec, runs);
  Block* blocks = scratch_array<Block>(exec, runs);
  cut_blocks(job, run, blocks, plan.block_count);
  int64_t* first_rows = scratch_array<int64_t>(exec, plan.split.tiles_per_line + 1);
  for (int64_t tile = 0; tile <= plan.split.tiles_per_line; ++tile) first_rows[tile] = plan.split.first_row(tile);
  plan.first_rows = first_rows;
  plan.runs = run;
  plan.blocks = blocks;
  const int64_t tiles = plan.block_count == 1 ? 1 : plan.split.tiles_per_block;
  plan.scratch_bytes = tiles * kMaxTileRows * kStepBytes;
  if (expands) {
    plan.expanded_offset = plan.scratch_bytes;
    plan.scratch_bytes += (kBlockSteps + 1) * kStepBytes;
  }
  plan.scratch_bytes = (plan.scratch_bytes + 4095) / 4096 * 4096 + 512;  // threads' memory not at one cache set
  plan.scratch = scratch_array<std::byte>(exec, plan.scratch_bytes * exec.threads());
  exec.pool->parallel_for(plan.split.blocks * plan.split.panels,
                          [&](int64_t unit, int thread) { run_unit(plan, unit, thread); });
}

}  // namespace omni::cpu
