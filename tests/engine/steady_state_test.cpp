// A denoise step allocates nothing once the scratch memory has grown: counted at operator new.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/picture_support.h"
#include "support/support.h"

namespace {
std::atomic<int64_t> allocations{0};
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// The sanitizers own malloc and tell of it.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));
namespace {
const int kHooks = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, size_t) { allocations.fetch_add(1, std::memory_order_relaxed); },
    [](const volatile void*) {});
}
#else
// The compiler sees only half of the pair where it inlines the other.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(size_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(bytes == 0 ? 1 : bytes)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}
#endif

namespace omni {
namespace {

class SteadyState : public ::testing::TestWithParam<const char*> {};

TEST_P(SteadyState, ADenoiseStepAllocatesNothing) {
  Engine engine(ModelOptions{.model = testing::model("mini-flux").string(), .quantization = GetParam()});
  engine.submit(ImageRequest{.prompt = "a cat", .width = 64, .height = 64, .steps = 8, .seed = 1});
  int64_t worst = 0;
  int steps = 0;
  int64_t before = 0;
  const EventSink sink = [&](const Event& event) {
    if (const auto* progress = std::get_if<Progress>(&event)) {
      if (progress->step > 2) {  // the first grows the scratch memory
        worst = std::max(worst, allocations.load() - before);
        ++steps;
      }
    }
    before = allocations.load();
  };
  while (engine.step(sink)) {
  }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  EXPECT_GT(kHooks, 0);
#endif
  EXPECT_GT(allocations.load(), 0) << "the counter counts nothing";
  EXPECT_EQ(steps, 6);
  EXPECT_EQ(worst, 0);
}

INSTANTIATE_TEST_SUITE_P(Wishes, SteadyState, ::testing::Values("", "int8", "fp8", "fp8_per_tensor", "q4_k"));

}  // namespace
}  // namespace omni
