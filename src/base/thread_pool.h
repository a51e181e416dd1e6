#pragma once
#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace omni {

// A fixed set of threads that run one chunked loop at a time. The caller works too and takes whatever chunks are left,
// so a thread that loses its core delays only the chunk it holds. Idle threads spin briefly, then sleep.
// Owned by whoever owns the Exec; parallel_for is called from one thread at a time. Allocates nothing after
// construction.
class ThreadPool {
 public:
  // threads: number of threads including the caller; 0 means one for every CPU this process may run on. Workers are
  // pinned to CPUs of the process's affinity mask when the pool uses all of them.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Calls body(chunk, thread) once for every chunk in [0, chunks), thread in [0, threads()). Returns when all are done.
  // The first exception a body throws is rethrown here after the loop has ended.
  void parallel_for(int64_t chunks, FunctionRef<void(int64_t chunk, int thread)> body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni
