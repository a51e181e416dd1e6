#include "media/quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "support/support.h"

namespace omni {
namespace {

nlohmann::json recorded() {
  const std::filesystem::path path = testing::golden("media/media.json");
  return parse_json(read_file(path, 1 << 20), path.string());
}

TEST(Quality, GivesTheReferenceValues) {
  const Image scene = read_image(testing::golden("media/scene.png"));
  const nlohmann::json golden = recorded();
  ASSERT_EQ(golden.at("quality").size(), 5u);
  for (const auto& [name, want] : golden.at("quality").items()) {
    const Image other = read_image(testing::golden("media/scene_" + name + ".png"));
    EXPECT_NEAR(psnr(scene, other), want.at("psnr").get<double>(), 1e-9) << name;
    EXPECT_NEAR(ssim(scene, other), want.at("ssim").get<double>(), 1e-9) << name;
    EXPECT_NEAR(flip(scene, other), want.at("flip").get<double>(), 2e-5) << name;  // the reference computes in f32
    EXPECT_EQ(max_difference(scene, other), want.at("max").get<int>()) << name;
  }
}

TEST(Quality, SaysThatAPictureEqualsItself) {
  const Image scene = read_image(testing::golden("media/scene.png"));
  EXPECT_TRUE(std::isinf(psnr(scene, scene)));
  EXPECT_DOUBLE_EQ(ssim(scene, scene), 1.0);
  EXPECT_DOUBLE_EQ(flip(scene, scene), 0.0);
  EXPECT_EQ(max_difference(scene, scene), 0);
}

TEST(Quality, RefusesPicturesOfDifferentOrTooSmallSizes) {
  const Image a = blank_image(12, 11, 0, 0, 0), b = blank_image(11, 12, 0, 0, 0), tiny = blank_image(10, 20, 0, 0, 0);
  EXPECT_THROW(psnr(a, b), Error);
  EXPECT_THROW(ssim(a, b), Error);
  EXPECT_THROW(flip(a, b), Error);
  EXPECT_THROW(max_difference(a, b), Error);
  EXPECT_THROW(ssim(tiny, tiny), Error);
}

TEST(Quality, BlackAgainstWhiteIsTheWorst) {
  const Image black = blank_image(16, 16, 0, 0, 0), white = blank_image(16, 16, 255, 255, 255);
  EXPECT_DOUBLE_EQ(psnr(black, white), 0.0);
  EXPECT_GT(flip(black, white), 0.9);
  EXPECT_LT(ssim(black, white), 0.001);
}

}  // namespace
}  // namespace omni
