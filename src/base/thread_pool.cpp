#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace omni {
namespace {

constexpr int kSpins = 20000;  // about 50 us: longer than the gap between two ops of a denoise step

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

}  // namespace

struct ThreadPool::State {
  // A new generation announces a job; workers come in by counting themselves `inside` while it is `open`.
  // A cache line each for what different threads write while others spin on it.
  alignas(64) std::atomic<uint64_t> generation{0};
  alignas(64) std::atomic<int64_t> next{0};
  alignas(64) std::atomic<int> inside{0};
  alignas(64) std::atomic<bool> stop{false};
  std::atomic<int> sleepers{0};
  int64_t chunks = 0;
  const FunctionRef<void(int64_t, int)>* body = nullptr;
  std::atomic<bool> open{false};
  std::mutex mutex;
  std::condition_variable wake;
  std::exception_ptr failure;
  std::vector<std::thread> workers;

  void work(int thread) {
    for (;;) {
      const int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return;
      try {
        (*body)(chunk, thread);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next.store(chunks, std::memory_order_relaxed);
      }
    }
  }

  void run_worker(int thread) {
    uint64_t seen = 0;
    for (;;) {
      int spins = 0;
      while (generation.load(std::memory_order_acquire) == seen && !stop.load(std::memory_order_acquire)) {
        if (++spins < kSpins) {
          relax();
          continue;
        }
        std::unique_lock lock(mutex);
        sleepers.fetch_add(1);
        wake.wait(lock, [&] { return generation.load() != seen || stop.load(); });
        sleepers.fetch_sub(1);
      }
      if (stop.load(std::memory_order_acquire)) return;
      seen = generation.load(std::memory_order_acquire);
      inside.fetch_add(1);
      if (open.load()) work(thread);  // a late thread finds the job closed and leaves
      inside.fetch_sub(1, std::memory_order_release);
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const std::vector<int> cpus = allowed_cpus();
  if (threads <= 0) threads = static_cast<int>(cpus.size());
  threads = std::min(threads, 1024);
  for (int thread = 1; thread < threads; ++thread) {
    state_->workers.emplace_back([state = state_.get(), thread] { state->run_worker(thread); });
    if (threads == static_cast<int>(cpus.size())) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpus[static_cast<size_t>(thread)], &set);
      // Failure leaves the thread where the scheduler puts it, which is correct, only slower.
      (void)pthread_setaffinity_np(state_->workers.back().native_handle(), sizeof set, &set);
    }
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stop.store(true);
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::parallel_for(int64_t chunks, FunctionRef<void(int64_t, int)> body) {
  State& s = *state_;
  if (chunks <= 0) return;
  if (chunks == 1 || s.workers.empty()) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk, 0);
    return;
  }
  s.failure = nullptr;
  s.chunks = chunks;
  s.body = &body;
  s.next.store(0, std::memory_order_relaxed);
  s.open.store(true);
  s.generation.fetch_add(1);
  if (s.sleepers.load() > 0) {
    { std::lock_guard lock(s.mutex); }
    s.wake.notify_all();
  }
  s.work(0);
  s.open.store(false);
  // Threads that are inside may still hold a chunk; those that have not come in see the job closed.
  while (s.inside.load() != 0) relax();
  if (s.failure) std::rethrow_exception(s.failure);
}

}  // namespace omni
