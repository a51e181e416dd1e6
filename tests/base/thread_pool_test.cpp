#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace omni {
namespace {

TEST(ThreadPool, RunsEveryChunkOnceWhateverTheCounts) {
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t chunks : {0, 1, 2, 5, 64, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(chunks));
      pool.parallel_for(chunks, [&](int64_t chunk, int thread) {
        ASSERT_GE(thread, 0);
        ASSERT_LT(thread, threads);
        runs[static_cast<size_t>(chunk)].fetch_add(1);
      });
      for (const auto& count : runs) ASSERT_EQ(count.load(), 1);
    }
  }
}

TEST(ThreadPool, ManyShortLoopsSeeEachOthersWrites) {
  ThreadPool pool(3);
  std::vector<int64_t> values(97, 0);  // plain memory: the loop's end must order it
  for (int round = 1; round <= 5000; ++round) {
    pool.parallel_for(97, [&](int64_t chunk, int) { values[static_cast<size_t>(chunk)] += chunk; });
    ASSERT_EQ(values[96], int64_t{96} * round);
  }
}

TEST(ThreadPool, WakesAfterItSlept) {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> done{0};
    pool.parallel_for(100, [&](int64_t, int) { done.fetch_add(1); });
    ASSERT_EQ(done.load(), 100);
  }
}

TEST(ThreadPool, RethrowsAndGoesOn) {
  ThreadPool pool(2);
  const auto fail = [](int64_t chunk, int) {
    if (chunk == 13) throw std::runtime_error("13");
  };
  EXPECT_THROW(pool.parallel_for(64, fail), std::runtime_error);
  std::atomic<int> done{0};
  pool.parallel_for(64, [&](int64_t, int) { done.fetch_add(1); });
  EXPECT_EQ(done.load(), 64);
}

}  // namespace
}  // namespace omni
