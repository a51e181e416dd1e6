// Every scheme painted by the plan: quality against our own bf16 run, and proof that the arithmetic really changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "engine/picture_support.h"
#include "media/quality.h"
#include "nn/ledger.h"
#include "support/support.h"

namespace omni {
namespace {

struct SchemeCase {
  const char* wish;
  double least_psnr;     // dB, the worst of the model's eight prompts
  double least_of_bf16;  // block weights' bytes, as a share of bf16
  double most_of_bf16;
};
void PrintTo(const SchemeCase& c, std::ostream* out) {
  *out << c.wish;
}

std::vector<std::string> prompts() {
  std::ifstream file(testing::model("mini-flux") / "prompts.txt");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<Image> paint_all(Engine& engine) {
  std::vector<Image> images;
  for (const std::string& prompt : prompts()) {
    testing::Painted painted = testing::paint(
        engine, {.prompt = prompt, .width = 256, .height = 256, .steps = 20, .guidance = 3.5f, .seed = 42});
    EXPECT_EQ(painted.failure, "");
    images.push_back(std::move(painted.image));
  }
  return images;
}

ModelOptions options(const std::string& wish) {
  return {.model = testing::model("mini-flux").string(), .quantization = wish};
}

class Scheme : public ::testing::TestWithParam<SchemeCase> {};

TEST_P(Scheme, PaintsAsWellAsItMustAndReallyQuantizes) {
  Engine quantized(options(GetParam().wish));
  int64_t blocks = 0, bf16 = 0, count = 0;
  for (const LedgerRow& row : quantized.ledger().rows) {
    if (row.component != "transformer" || row.role != Role::kOrdinary) continue;
    EXPECT_NE(row.target, row.stored) << row.path;
    EXPECT_FALSE(row.fallback) << row.path << " " << row.kernel;
    EXPECT_GT(row.error, 0) << row.path;
    blocks += row.bytes_packed;
    bf16 += row.rows * row.cols * 2;
    ++count;
  }
  EXPECT_EQ(count, 54);
  const double share = static_cast<double>(blocks) / static_cast<double>(bf16);
  EXPECT_GE(share, GetParam().least_of_bf16);
  EXPECT_LE(share, GetParam().most_of_bf16);

  const std::vector<Image> got = paint_all(quantized);
  Engine baseline(options(""));
  const std::vector<Image> want = paint_all(baseline);
  ASSERT_EQ(want.size(), 8u);
  double least = 1e9;
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_GT(max_difference(got[i], want[i]), 0) << prompts()[i] << ": the image is the float run's";
    least = std::min(least, psnr(got[i], want[i]));
  }
  RecordProperty("psnr_min", std::to_string(least));
  std::printf("%s: worst PSNR %.2f dB, block weights %.4f of bf16\n", GetParam().wish, least, share);
  EXPECT_GE(least, GetParam().least_psnr);
}

INSTANTIATE_TEST_SUITE_P(All, Scheme,
                         ::testing::Values(SchemeCase{"int8_weight_only", 45, 0.49, 0.52},
                                           SchemeCase{"int8", 43, 0.49, 0.52}, SchemeCase{"q8_0", 43, 0.53, 0.54},
                                           SchemeCase{"q6_k", 38, 0.40, 0.42}, SchemeCase{"fp8", 37, 0.49, 0.52},
                                           SchemeCase{"fp8_per_tensor", 36, 0.49, 0.52},
                                           SchemeCase{"q5_k", 33, 0.34, 0.37},
                                           SchemeCase{"int4/g32/asym", 27.5, 0.27, 0.36},
                                           SchemeCase{"q4_0", 26.5, 0.28, 0.29}, SchemeCase{"nvfp4", 26.5, 0.28, 0.29},
                                           SchemeCase{"nf4", 26, 0.28, 0.29}, SchemeCase{"q4_k", 26, 0.28, 0.30},
                                           SchemeCase{"int4/g128", 23.5, 0.25, 0.27}),
                         [](const auto& info) {
                           std::string name = info.param.wish;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

TEST(Plan, SensitiveLayersStayFloatUnlessNamed) {
  Engine general(options("int8"));
  for (const LedgerRow& row : general.ledger().rows) {
    EXPECT_EQ(row.quantized, row.role == Role::kOrdinary && row.component == "transformer") << row.path;
  }
  Engine named(options(R"({"rules": [{"path": "transformer.proj_out", "scheme": "int8"}]})"));
  int64_t changed = 0;
  for (const LedgerRow& row : named.ledger().rows) changed += row.quantized ? 1 : 0;
  EXPECT_EQ(changed, 1);
}

TEST(Plan, ComponentMapsAndIgnoredLayersReachWhatTheyName) {
  ModelOptions map = options(R"({"transformer": "fp8", "text_encoder_2": "int8", "vae": null})");
  map.ignored_layers = {"ff_context"};
  Engine engine(map);
  for (const LedgerRow& row : engine.ledger().rows) {
    if (row.role != Role::kOrdinary) continue;
    const bool ignored = row.path.find("ff_context") != std::string::npos;
    const std::string want = row.component == "transformer"      ? (ignored ? "bf16" : "fp8")
                             : row.component == "text_encoder_2" ? "int8"
                                                                 : "bf16";
    EXPECT_EQ(row.target, want) << row.path;
  }
}

TEST(Plan, ARuleThatMatchesNothingIsAnErrorBeforeAnythingLoads) {
  ModelOptions typo = options("int8");
  typo.ignored_layers = {"ff_contxt"};
  try {
    Engine engine(typo);
    FAIL() << "loaded";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("ff_contxt"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace omni
