#include "checkpoint/encoding.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "support/support.h"

namespace omni {
namespace {

class PlainCheckpoint : public ::testing::Test {
 protected:
  std::unique_ptr<Checkpoint> open(const std::vector<NamedTensor>& more) {
    std::vector<NamedTensor> tensors = {{"layer.weight", testing::random_tensor(Shape{3, 4}, 1)},
                                        {"layer.bias", testing::random_tensor(Shape{3}, 2)},
                                        {"norm.weight", testing::random_tensor(Shape{4}, 3)}};
    tensors.insert(tensors.end(), more.begin(), more.end());
    write_safetensors(file_, tensors);
    return open_safetensors(file_);
  }
  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "x.safetensors";
};

TEST_F(PlainCheckpoint, ItsMatricesAreItsWeights) {
  const auto checkpoint = open({});
  const auto stored = find_encoding(*checkpoint, nullptr).open(*checkpoint, nullptr);
  EXPECT_EQ(stored->weights(), std::vector<std::string>{"layer"});
  EXPECT_EQ(stored->describe("layer")->tensors, std::vector<std::string>{"layer.weight"});
  EXPECT_EQ(stored->describe("other"), std::nullopt);
  EXPECT_THROW((void)stored->describe("norm"), Error);
  const Weight rows = stored->read_rows("layer", 1, 2);
  EXPECT_EQ(rows.rows, 2);
  EXPECT_EQ(rows.codes.f32()[0], stored->read("layer").codes.f32()[4]);
  EXPECT_NO_THROW(check_headers(*checkpoint, *stored));
  EXPECT_EQ(check_values(*stored), 0);
}

TEST_F(PlainCheckpoint, APartOfAQuantizedWeightThatBelongsToNoneIsNamed) {
  for (const char* part : {"weight_scale", "weight_scale_inv", "qzeros", "g_idx", "SCB", "weight.absmax", "input_scale",
                           "weight_scale_2", "scale_weight", "weight_packed", "weight_zero_point", "wscales"}) {
    const std::string name = std::string("layer.") + part;
    const auto checkpoint = open({{name, testing::random_tensor(Shape{3}, 1)}});
    const auto stored = find_encoding(*checkpoint, nullptr).open(*checkpoint, nullptr);
    try {
      check_headers(*checkpoint, *stored);
      ADD_FAILURE() << name << " went unnoticed";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("x.safetensors: " + name + ": belongs to no quantized weight"),
                std::string::npos)
          << e.what();
    }
  }
}

TEST(Encodings, TheListIsSortedAndEveryOneSaysWhatItReads) {
  std::vector<std::string_view> names;
  for (const Encoding* encoding : encodings()) {
    names.push_back(encoding->name());
    EXPECT_FALSE(encoding->what().empty()) << encoding->name();
  }
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_NE(std::ranges::find(names, "plain"), names.end());
}

}  // namespace
}  // namespace omni
