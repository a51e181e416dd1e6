// The verbs of name maps, through WeightSource: every value of ours against the value of theirs it must be.
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "checkpoint/weight_source.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Element (r, c) is 100 r + c, so that a row is known by its values.
Tensor numbered(Shape shape) {
  Tensor out(DType::kF32, shape);
  for (int64_t i = 0; i < shape.count(); ++i)
    out.f32()[i] = static_cast<float>(shape.rank() == 1 ? 100 * i : 100 * (i / shape[-1]) + i % shape[-1]);
  return out;
}

std::vector<int64_t> rows_of(const Tensor& values) {
  std::vector<int64_t> rows;
  const int64_t cols = values.shape().rank() == 1 ? 1 : values.cols();
  for (int64_t row = 0; row < values.shape().count() / cols; ++row) {
    for (int64_t col = 1; col < cols; ++col)
      EXPECT_EQ(values.f32()[row * cols + col], values.f32()[row * cols] + static_cast<float>(col));
    rows.push_back(static_cast<int64_t>(values.f32()[row * cols]) / 100);
  }
  return rows;
}
using Rows = std::vector<int64_t>;

class NameMapTest : public ::testing::Test {
 protected:
  WeightSource open(std::vector<NameRule> rules) {
    write_safetensors(file_, {{"blocks.3.qkv.weight", numbered(Shape{12, 4})},
                              {"blocks.3.qkv.bias", numbered(Shape{12})},
                              {"blocks.3.norm.query.scale", numbered(Shape{4})},
                              {"mod.weight", numbered(Shape{6, 4})},
                              {"mod.bias", numbered(Shape{6})},
                              {"blk.3.attn_q.weight", numbered(Shape{8, 4})},
                              {"blk.3.attn_q.bias", numbered(Shape{8})},
                              {"blk.3.exps.weight", numbered(Shape{3, 2, 4})},
                              {"blk.3.exps.bias", numbered(Shape{3, 2})},
                              {"conv.weight", numbered(Shape{1, 2, 4})}});
    return WeightSource("transformer", open_safetensors(file_), JsonObject::parse("{}", "config.json"),
                        {NameMap{"theirs", "", std::move(rules)}});
  }
  static Rows rows(WeightSource& source, const std::string& name, int64_t rows, int64_t cols = 4) {
    return rows_of(to_f32(source.weight(name, rows, cols).codes));
  }
  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "x.safetensors";
};

TEST_F(NameMapTest, SlicesGiveTheirRowsOfWeightsAndBiases) {
  WeightSource source = open({{.ours = "h.*.q", .theirs = "blocks.*.qkv", .row = 0, .rows = 4, .of_rows = 12},
                              {.ours = "h.*.k", .theirs = "blocks.*.qkv", .row = 4, .rows = 2, .of_rows = 12},
                              {.ours = "h.*.v", .theirs = "blocks.*.qkv", .row = 6, .rows = 6, .of_rows = 12}});
  EXPECT_EQ(rows(source, "h.3.q", 4), (Rows{0, 1, 2, 3}));
  EXPECT_EQ(rows(source, "h.3.k", 2), (Rows{4, 5}));
  EXPECT_EQ(rows(source, "h.3.v", 6), (Rows{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(rows_of(source.tensor("h.3.k.bias", Shape{2})), (Rows{4, 5}));
  EXPECT_EQ(source.describe("h.3.k", 2, 4).bytes, 2 * 4 * 4);
  EXPECT_EQ(source.shape("h.3.k"), (Shape{2, 4}));
  EXPECT_EQ(source.shape("h.3.k.bias"), Shape{2});
  EXPECT_EQ(source.checkpoint_name("h.3.k"), "blocks.3.qkv");
  EXPECT_EQ(source.unread().size(), 8u) << "the fused tensors count as read";
}

TEST_F(NameMapTest, ASliceChecksTheRowsOfTheWholeAndItsOwn) {
  WeightSource source = open({{.ours = "q", .theirs = "blocks.3.qkv", .row = 0, .rows = 4, .of_rows = 16},
                              {.ours = "k", .theirs = "blocks.3.qkv", .row = 4, .rows = 4, .of_rows = 12}});
  const std::string whole = message([&] { (void)source.weight("q", 4, 4); });
  EXPECT_TRUE(has(whole, "x.safetensors: blocks.3.qkv.weight: is of shape [12, 4]") && has(whole, "[16, 4]")) << whole;
  const std::string bias = message([&] { (void)source.tensor("q.bias", Shape{4}); });
  EXPECT_TRUE(has(bias, "blocks.3.qkv.bias: is of shape [12]") && has(bias, "[16]")) << bias;
  EXPECT_TRUE(has(message([&] { (void)source.weight("k", 8, 4); }), "is of shape"));
  EXPECT_TRUE(has(message([&] { (void)source.tensor("k.bias", Shape{8}); }), "is of shape"));
  EXPECT_TRUE(has(message([&] { (void)source.weight("k", 4, 5); }), "[12, 5]"));
}

TEST_F(NameMapTest, SwappedHalvesChangePlacesInWeightAndBias) {
  WeightSource source = open({{.ours = "norm_out.linear", .theirs = "mod", .swap_halves = true}});
  EXPECT_EQ(rows(source, "norm_out.linear", 6), (Rows{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(rows_of(source.tensor("norm_out.linear.bias", Shape{6})), (Rows{3, 4, 5, 0, 1, 2}));
}

TEST_F(NameMapTest, RopeHeadsUndoTheInterleavingOfEachHead) {
  // Two heads of four rows: llama.cpp stores rows 0, 2, 1, 3 of a head (pairs side by side).
  WeightSource source = open({{.ours = "l.*.q_proj", .theirs = "blk.*.attn_q", .rope_heads = 2}});
  EXPECT_EQ(rows(source, "l.3.q_proj", 8), (Rows{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(rows_of(source.tensor("l.3.q_proj.bias", Shape{8})), (Rows{0, 2, 1, 3, 4, 6, 5, 7}));
  WeightSource one = open({{.ours = "l.*.q_proj", .theirs = "blk.*.attn_q", .rope_heads = 1}});
  EXPECT_EQ(rows(one, "l.3.q_proj", 8), (Rows{0, 2, 4, 6, 1, 3, 5, 7}));
}

TEST_F(NameMapTest, AStackGivesTheMatrixOfItsIndex) {
  WeightSource source = open({{.ours = "l.*.experts.*.up", .theirs = "blk.*.exps", .stacked = true}});
  EXPECT_EQ(rows(source, "l.3.experts.0.up", 2), (Rows{0, 1}));
  EXPECT_EQ(rows(source, "l.3.experts.2.up", 2), (Rows{4, 5}));
  EXPECT_EQ(source.shape("l.3.experts.2.up"), (Shape{2, 4}));
  EXPECT_EQ(source.describe("l.3.experts.1.up", 2, 4).bytes, 2 * 4 * 4);
  const Tensor bias = source.tensor("l.3.experts.1.up.bias", Shape{2});
  EXPECT_EQ(bias.f32()[0], 100.0f);
  EXPECT_EQ(bias.f32()[1], 101.0f);
  for (const char* index : {"3", "-1", "x", "1x", "99999999999999999999"}) {
    const std::string name = std::string("l.3.experts.") + index + ".up";
    const std::string text = message([&] { (void)source.weight(name, 2, 4); });
    EXPECT_TRUE(has(text, "blk.3.exps.weight: is a stack of 3") && has(text, name)) << text;
    EXPECT_NE(message([&] { (void)source.tensor(name + ".bias", Shape{2}); }), "") << name;
  }
  EXPECT_TRUE(has(message([&] { (void)source.weight("l.3.experts.1.up", 3, 4); }), "is of shape [2, 4]"));
}

TEST_F(NameMapTest, AStackIsNotTakenForOneMatrix) {
  WeightSource source = open({});
  EXPECT_TRUE(has(message([&] { (void)source.weight("blk.3.exps", 6, 4); }), "is a stack of 3"));
  EXPECT_EQ(source.tensor("conv.weight", Shape{1, 2, 4}).shape(), (Shape{1, 2, 4}));
  WeightSource stacked = open({{.ours = "e.*", .theirs = "mod", .stacked = true}});
  EXPECT_NE(message([&] { (void)stacked.weight("e.0", 4, 4); }), "") << "6 rows are no stack of 4";
}

TEST_F(NameMapTest, StarsStandForSegmentsInTheirOrderAndTheRestFollows) {
  WeightSource source =
      open({{.ours = "a.*.b.*.q.weight", .theirs = "blocks.*.norm.*.scale"}, {.ours = "a.*.b", .theirs = "wrong.*"}});
  EXPECT_EQ(source.tensor("a.3.b.query.q.weight", Shape{4}).f32()[1], 100.0f);
  EXPECT_EQ(source.checkpoint_name("a.3.b.query.k"), "wrong.3.query.k") << "the longest rule that matches decides";
  EXPECT_EQ(source.checkpoint_name("a.3"), "a.3") << "a rule matches whole, or not at all";
}

TEST_F(NameMapTest, NothingIsSaidToBeThereThatIsNot) {
  WeightSource source = open({{.ours = "q", .theirs = "blocks.3.qkv", .row = 0, .rows = 4, .of_rows = 12}});
  EXPECT_TRUE(source.has("q.weight") && source.has("q.bias"));
  EXPECT_FALSE(source.has("k.weight"));
  EXPECT_EQ(source.shape("k"), std::nullopt);
}

}  // namespace
}  // namespace omni
