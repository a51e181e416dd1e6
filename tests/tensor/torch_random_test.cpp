#include "tensor/torch_random.h"

#include <gtest/gtest.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "support/support.h"

namespace omni {
namespace {

nlohmann::json recorded() {
  const std::filesystem::path path = testing::golden("torch_random.json");
  return parse_json(read_file(path, 1 << 20), path.string());
}

// Compares bits: the recorded values are the reference's own.
void expect_bits(std::span<const float> got, const nlohmann::json& bits, const std::string& what) {
  ASSERT_EQ(got.size(), bits.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    const float want = std::bit_cast<float>(bits[i].get<uint32_t>());
    EXPECT_EQ(std::bit_cast<uint32_t>(got[i]), bits[i].get<uint32_t>())
        << what << ", value " << i << ": got " << got[i] << ", want " << want;
  }
}

TEST(TorchRandom, GivesTheReferenceBitsForSmallSizesTailsAndMixedCalls) {
  const nlohmann::json golden = recorded();
  ASSERT_GE(golden.at("cases").size(), 10u);
  for (const nlohmann::json& c : golden.at("cases")) {
    TorchGenerator generator(std::stoull(c.at("seed").get<std::string>()));
    std::vector<float> all;
    for (const nlohmann::json& size : c.at("sizes")) {
      std::vector<float> part(size.get<size_t>());
      generator.randn(part);
      all.insert(all.end(), part.begin(), part.end());
    }
    expect_bits(all, c.at("bits"), "seed " + c.at("seed").get<std::string>() + ", sizes " + c.at("sizes").dump());
  }
}

TEST(TorchRandom, GivesTheReferenceBitsAtTheEndOfLargeTensors) {
  const nlohmann::json golden = recorded();
  for (const nlohmann::json& c : golden.at("last")) {
    TorchGenerator generator(std::stoull(c.at("seed").get<std::string>()));
    std::vector<float> all(c.at("size").get<size_t>());
    generator.randn(all);
    expect_bits(std::span(all).last(c.at("bits").size()), c.at("bits"), "last of " + c.at("size").dump());
  }
}

// The first noise of the mini-FLUX golden, seed 42.
TEST(TorchRandom, StartsAsTheNoiseOfTheGoldenJob) {
  TorchGenerator generator(42);
  std::vector<float> noise(16 * 32 * 32);
  generator.randn(noise);
  EXPECT_FLOAT_EQ(noise[0], 1.9269153f);
  EXPECT_FLOAT_EQ(noise[1], 1.4872841f);
  EXPECT_FLOAT_EQ(noise[8], -0.7521353f);
}

TEST(TorchRandom, LeavesAnEmptyTensorAndTheStateAlone) {
  TorchGenerator touched(3), fresh(3);
  touched.randn({});
  std::vector<float> a(20), b(20);
  touched.randn(a);
  fresh.randn(b);
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace omni
