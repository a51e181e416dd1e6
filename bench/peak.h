#pragma once
#include <ctime>

#include "base/thread_pool.h"

namespace omni::bench {

// Seconds of a clock: the wall's, or with a pool of one thread that thread's processor time, so that other programs on
// the machine do not spoil a measurement.
inline double seconds(const ThreadPool& pool) {
  timespec now{};
  clock_gettime(pool.threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// What the multipliers of all threads reach on registers alone, in 1e9 operations a second (a multiply and an add are
// two); 0 when this process has no such instruction. Best of several tries.
enum class Unit { kF32, kBF16, kInt8 };
double peak_gops(ThreadPool& pool, Unit unit);

}  // namespace omni::bench
