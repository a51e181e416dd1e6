#include <gtest/gtest.h>

#include "kernels/cpu/gemm.h"

namespace omni::cpu {
namespace {

TEST(LinearSplit, EveryRowIsInOneTileAndNoTileIsTooTall) {
  for (int64_t width = 1; width <= 400; ++width) {
    for (const int max_rows : {4, 6, 12}) {
      const GemmSplit split = choose_split({.width = width, .columns = 100, .max_rows = max_rows, .threads = 2});
      int64_t next = 0;
      for (int64_t tile = 0; tile < split.tiles_per_line; ++tile) {
        EXPECT_EQ(split.first_row(tile), next);
        next = split.first_row(tile + 1);
        EXPECT_GT(next, split.first_row(tile));
        EXPECT_LE(next - split.first_row(tile), max_rows) << "width " << width;
      }
      EXPECT_EQ(next, width);
    }
  }
}

TEST(LinearSplit, TilesOfALineAreAboutEquallyTall) {
  const GemmSplit split = choose_split({.width = 13, .columns = 32, .max_rows = 12});
  ASSERT_EQ(split.tiles_per_line, 2);
  EXPECT_EQ(split.first_row(1), 6);
}

TEST(LinearSplit, BlocksCoverAllTiles) {
  for (const int64_t lines : {1, 7, 64}) {
    for (const int threads : {1, 2, 64}) {
      for (const bool expands : {false, true}) {
        const GemmSplit split = choose_split(
            {.lines = lines, .width = 288, .columns = 768, .max_rows = 12, .threads = threads, .expands = expands});
        EXPECT_GE(split.blocks * split.tiles_per_block, split.tiles);
        EXPECT_LT((split.blocks - 1) * split.tiles_per_block, split.tiles);
        EXPECT_LE(split.tiles_per_block, 24);
      }
    }
  }
}

TEST(LinearSplit, FewPanelsAreSharedByCuttingRows) {
  const GemmSplit one = choose_split({.width = 288, .columns = 32, .max_rows = 12, .threads = 1});
  EXPECT_EQ(one.blocks, 1);
  const GemmSplit two = choose_split({.width = 288, .columns = 32, .max_rows = 12, .threads = 2});
  EXPECT_EQ(two.blocks, 8);
  const GemmSplit expanding =
      choose_split({.width = 288, .columns = 32, .max_rows = 12, .threads = 16, .expands = true});
  EXPECT_EQ(expanding.tiles_per_block, 4) << "an expansion is paid by at least 4 tiles";
}

TEST(LinearSplit, BlocksOfLongRowsAreLowerUnlessPanelsAreExpanded) {
  const auto tiles = [](int64_t row_bytes, bool expands) {
    return choose_split({.width = 4608,
                         .columns = 3072,
                         .row_bytes = row_bytes,
                         .max_rows = 12,
                         .threads = 2,
                         .expands = expands})
        .tiles_per_block;
  };
  EXPECT_EQ(tiles(512, false), 24);
  EXPECT_EQ(tiles(6144, false), 12);
  EXPECT_EQ(tiles(6144, true), 24);
}

TEST(LinearSplit, NothingToDoIsNoBlocks) {
  EXPECT_EQ(choose_split({.width = 0, .columns = 32, .max_rows = 12, .threads = 2}).blocks, 0);
}

}  // namespace
}  // namespace omni::cpu
