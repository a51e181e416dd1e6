#include "checkpoint/weight_source.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "support/support.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

const std::vector<NameMap> kMaps = {
    NameMap{"other", "not.there", {}},
    NameMap{"original",
            "model.layers.0.a.weight",
            {NameRule{"blocks", "model.layers"}, NameRule{"blocks.0.special", "odd"}, NameRule{"final", "head.last"}}}};

class WeightSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(file_, {{"model.layers.0.a.weight", testing::random_tensor(Shape{3, 4}, 1)},
                              {"odd.weight", testing::random_tensor(Shape{2, 2}, 2)},
                              {"head.last.weight", testing::random_tensor(Shape{4}, 3)},
                              {"blocks_2.weight", testing::random_tensor(Shape{1, 2}, 4)},
                              {"codes.weight", Tensor(DType::kF8E4M3, Shape{2, 2})}});
  }
  WeightSource open(const std::string& config = "{}", const std::vector<NameMap>& maps = kMaps) {
    return WeightSource("transformer", open_safetensors(file_), JsonObject::parse(config, "config.json"), maps);
  }
  static std::string message(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "x.safetensors";
};

TEST_F(WeightSourceTest, NamesMapByTheLongestWholeSegmentPrefix) {
  WeightSource source = open();
  EXPECT_EQ(source.weight("blocks.0.a", 3, 4).float_dtype(), DType::kF32);
  EXPECT_EQ(source.weight("blocks.0.special", 2, 2).rows, 2);
  EXPECT_EQ(source.describe("blocks_2", 1, 2).bytes, 8) << "the rule for blocks must not reach blocks_2";
  EXPECT_EQ(source.tensor("final.weight", Shape{4}).shape(), Shape{4});
  EXPECT_TRUE(source.has("final.weight"));
  EXPECT_FALSE(source.has("final.bias"));
  EXPECT_EQ(source.unread(), std::vector<std::string>{"codes.weight"});
}

TEST_F(WeightSourceTest, MessagesNameFileTensorExpectedAndFound) {
  WeightSource source = open();
  EXPECT_EQ(source.where("blocks.0.a"), file_.string() + ": model.layers.0.a.weight");
  const std::string shape = message([&] { (void)source.weight("blocks.0.a", 4, 4); });
  EXPECT_TRUE(has(shape, "x.safetensors: model.layers.0.a.weight: is of shape [3, 4]") && has(shape, "[4, 4]"))
      << shape;
  const std::string missing = message([&] { (void)source.weight("blocks.7.a", 4, 4); });
  EXPECT_TRUE(has(missing, "x.safetensors: model.layers.7.a.weight: is missing")) << missing;
  EXPECT_TRUE(has(message([&] { (void)source.weight("codes", 2, 2); }), "f8e4m3"));
  EXPECT_TRUE(has(message([&] { (void)source.tensor("codes.weight", Shape{2, 2}); }), "f8e4m3"));
  EXPECT_TRUE(has(message([&] { (void)source.tensor("final.weight", Shape{5}); }), "head.last.weight"));
  EXPECT_TRUE(has(message([&] { (void)source.weight("final", 2, 2); }), "is of shape [4]"));
}

TEST_F(WeightSourceTest, AnUnknownDialectIsAnErrorThatListsTheKnown) {
  const std::string text = message([&] { (void)open("{}", {kMaps[0]}); });
  EXPECT_TRUE(has(text, "other (has not.there)")) << text;
  const std::vector<NameMap> always = {kMaps[0], NameMap{"same", "", {}}};
  EXPECT_NO_THROW((void)open("{}", always));
}

TEST_F(WeightSourceTest, AQuantizedCheckpointWithoutItsEncodingIsRefusedByName) {
  for (const char* config : {R"({"quantization_config": {"quant_method": "aqlm"}})",
                             R"({"text_config": {"quantization_config": {"quant_method": "aqlm"}}})"}) {
    const std::string text = message([&] { (void)open(config); });
    EXPECT_TRUE(has(text, "'aqlm'") && has(text, "plain")) << text;
  }
  EXPECT_TRUE(has(message([&] { (void)open(R"({"quantization_config": []})"); }), "quantization_config"));
  EXPECT_TRUE(has(message([&] { (void)open(R"({"quantization_config": {}})"); }), "quant_method"));
}

TEST(DummySource, IsRepeatableSeededAndNearToNormal) {
  WeightSource source = WeightSource::dummy("transformer", 7);
  EXPECT_TRUE(source.is_dummy());
  const Weight a = source.weight("x.to_q", 64, 128),
               again = WeightSource::dummy("transformer", 7).weight("x.to_q", 64, 128);
  const Weight other = WeightSource::dummy("transformer", 8).weight("x.to_q", 64, 128);
  EXPECT_EQ(testing::compare(a.codes, again.codes).over_range, 0);
  EXPECT_GT(testing::compare(a.codes, other.codes).over_range, 0.1);
  const Tensor values = to_f32(a.codes);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 64 * 128; ++i) {
    sum += values.f32()[i];
    squares += static_cast<double>(values.f32()[i]) * values.f32()[i];
  }
  EXPECT_NEAR(sum / (64 * 128), 0, 5 * 0.02 / std::sqrt(64 * 128));
  EXPECT_NEAR(std::sqrt(squares / (64 * 128)), 0.02, 0.001);
  EXPECT_EQ(source.tensor("norm.weight", Shape{2}).f32()[1], 1.0f);
  EXPECT_EQ(source.tensor("norm.bias", Shape{2}).f32()[1], 0.0f);
  EXPECT_NE(source.tensor("conv.weight", Shape{2, 2, 3, 3}).f32()[1], 1.0f);
  EXPECT_EQ(source.describe("x", 2, 4).bytes, 16);
  EXPECT_FALSE(source.has("norm.weight"));
  EXPECT_TRUE(source.unread().empty());
}

}  // namespace
}  // namespace omni
