#include <gtest/gtest.h>

#include "base/error.h"
#include "kernels/cpu/isa.h"
#include "kernels/linear.h"
#include "quant/scheme.h"

namespace omni {
namespace {

// A level of OMNI_ISA that this machine lacks skips everything.
class IsaLevel : public ::testing::Environment {
 public:
  void SetUp() override {
    try {
      cpu::features();
    } catch (const Error& error) {
      if (error.found().find("does not have") == std::string::npos) throw;
      GTEST_SKIP() << error.what();
    }
  }
};
const auto* const kIsaLevel = ::testing::AddGlobalTestEnvironment(new IsaLevel);

KernelChoice choose(std::string_view preset, DType compute) {
  return choose_linear_kernel({find_preset(preset)->scheme, DType::kNone, 64, 256, compute, Device{}}, "a.b");
}

TEST(LinearList, TheReferenceIsLastAndNamesAreUnique) {
  const auto kernels = linear_kernels();
  for (size_t i = 0; i < kernels.size(); ++i) {
    EXPECT_EQ(kernels[i]->is_reference(), i + 1 == kernels.size());
    for (size_t j = 0; j < i; ++j) EXPECT_NE(kernels[i]->name(), kernels[j]->name());
  }
}

TEST(LinearList, TheBestKernelOfThisLevelIsChosen) {
  const cpu::Features& f = cpu::features();
  const bool avx2 = f.isa >= cpu::Isa::kAvx2, avx512 = f.isa >= cpu::Isa::kAvx512;
  const std::string f32 = avx512 ? "linear_panel_f32_avx512" : avx2 ? "linear_panel_f32_avx2" : "linear_reference";
  EXPECT_EQ(choose("q4_k", DType::kBF16).kernel->name(), f.bf16 ? "linear_panel_bf16_avx512bf16" : f32);
  EXPECT_EQ(choose("q4_k", DType::kF32).kernel->name(), f32);
  EXPECT_EQ(choose("int8", DType::kBF16).kernel->name(), f.vnni ? "linear_int8_int8_avx512vnni"
                                                         : avx2 ? "linear_int8_int8_avx2"
                                                                : "linear_reference");
}

TEST(LinearList, BetterKernelsSayWhyTheyDecline) {
  const KernelChoice choice = choose("q4_k", DType::kF32);
  ASSERT_FALSE(choice.refusals.empty());
  EXPECT_EQ(choice.refusals[0],
            "linear_int8_int8_avx512vnni: only i8 weights with a scale a channel or tensor and i8 activations");
  bool named = false;
  for (const std::string& refusal : choice.refusals) named |= refusal.find("asked for f32") != std::string::npos;
  EXPECT_TRUE(named);
}

TEST(LinearList, AnUnknownSchemeIsAnErrorWithEveryReason) {
  QuantScheme scheme = find_preset("int4")->scheme;
  scheme.rotation = 64;
  try {
    choose_linear_kernel({scheme, DType::kNone, 64, 256, DType::kBF16, Device{}}, "transformer.x");
    FAIL() << "no kernel rotates";
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "transformer.x");
    EXPECT_NE(std::string(error.what()).find("linear_reference: no rotation of inputs"), std::string::npos);
  }
}

TEST(LinearList, PaddedDepthIsANoteAndNotARefusal) {
  if (!cpu::features().vnni) GTEST_SKIP();
  const Verdict verdict =
      linear_kernels()[0]->supports({find_preset("int8")->scheme, DType::kNone, 64, 77, DType::kBF16, Device{}});
  EXPECT_TRUE(verdict.ok);
  EXPECT_NE(verdict.why.find("K = 77"), std::string::npos) << verdict.why;
}

}  // namespace
}  // namespace omni
