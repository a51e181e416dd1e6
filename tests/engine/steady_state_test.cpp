// A denoise step allocates nothing once the scratch memory has grown: counted at operator new and malloc's door.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "engine/picture_support.h"
#include "support/support.h"

// The compiler sees only half of the pair where it inlines the other.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace {
std::atomic<int64_t> allocations{0};
}

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

namespace omni {
namespace {

class SteadyState : public ::testing::TestWithParam<const char*> {};

TEST_P(SteadyState, ADenoiseStepAllocatesNothing) {
  Engine engine(ModelOptions{.model = testing::model("mini-flux").string(), .quantization = GetParam()});
  engine.submit({.prompt = "a cat", .width = 64, .height = 64, .steps = 8, .seed = 1});
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
  EXPECT_EQ(steps, 6);
  EXPECT_EQ(worst, 0);
}

INSTANTIATE_TEST_SUITE_P(Wishes, SteadyState, ::testing::Values("", "int8", "fp8", "fp8_per_tensor", "q4_k"));

}  // namespace
}  // namespace omni
