#include "quant/weight.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "base/error.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

using omni::testing::random_tensor;

Tensor stacked(const Tensor& a, const Tensor& b) {
  Tensor out(DType::kF32, Shape{a.rows() + b.rows(), a.cols()});
  std::memcpy(out.raw(), a.raw(), static_cast<size_t>(a.bytes()));
  std::memcpy(out.raw() + a.bytes(), b.raw(), static_cast<size_t>(b.bytes()));
  return out;
}

std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Weight, JoinedRowsDecodeToExactlyTheirPartsInEveryScheme) {
  const Tensor a = random_tensor(Shape{6, 256}, 1), b = random_tensor(Shape{10, 256}, 2, 3.0f);
  for (const Preset& preset : presets()) {
    const Weight parts[] = {encode(a, preset.scheme, "a", nullptr), encode(b, preset.scheme, "b", nullptr)};
    const Weight joined = concat_rows(parts, "joined");
    const Tensor want = stacked(decode(parts[0]), decode(parts[1])), got = decode(joined);
    ASSERT_EQ(got.shape(), want.shape());
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(want.bytes())), 0)
        << preset.name << ": " << omni::testing::compare(got, want).text();
    EXPECT_EQ(joined.scheme.act, preset.scheme.act) << preset.name;
  }
}

TEST(Weight, DifferingTensorScalesBecomeChannelScalesAndEqualOnesStay) {
  const QuantScheme scheme = find_preset("fp8_per_tensor")->scheme;
  const Weight a = encode(random_tensor(Shape{3, 8}, 1), scheme, "a", nullptr);
  const Weight b = encode(random_tensor(Shape{2, 8}, 2), scheme, "b", nullptr);
  const Weight differing[] = {a, b}, equal[] = {a, a};
  const Weight channel = concat_rows(differing, "w");
  EXPECT_EQ(channel.scheme.scale.group, (Group{1, 0}));
  EXPECT_EQ(channel.scheme.act, ActQuant::kPerTensor);
  EXPECT_EQ(channel.scales.shape(), (Shape{5, 1}));
  EXPECT_EQ(channel.scales.f32()[2], a.scales.f32()[0]);
  EXPECT_EQ(channel.scales.f32()[3], b.scales.f32()[0]);
  EXPECT_EQ(concat_rows(equal, "w").scheme, scheme);
}

TEST(Weight, DifferingOuterScalesOfNvfp4AreKeptARow) {
  const QuantScheme scheme = find_preset("nvfp4")->scheme;
  const Weight parts[] = {encode(random_tensor(Shape{3, 32}, 1), scheme, "a", nullptr),
                          encode(random_tensor(Shape{2, 32}, 2), scheme, "b", nullptr)};
  const Weight joined = concat_rows(parts, "w");
  EXPECT_EQ(joined.outer_scales.shape(), (Shape{5, 1}));
  EXPECT_EQ(joined.scheme.outer_scale.group, (Group{1, 0}));
}

TEST(Weight, FloatsJoinAndKeepTheirDtype) {
  const Weight a = float_weight(cast(random_tensor(Shape{2, 4}, 1), DType::kBF16));
  const Weight b = float_weight(random_tensor(Shape{2, 4}, 1));
  const Weight same[] = {a, a}, mixed[] = {a, b};
  EXPECT_EQ(concat_rows(same, "w").float_dtype(), DType::kBF16);
  EXPECT_EQ(concat_rows(same, "w").bytes(), 4 * 4 * 2);
  EXPECT_NE(message([&] { concat_rows(mixed, "x.qkv"); }).find("x.qkv: part 1 holds f32"), std::string::npos);
}

TEST(Weight, PartsThatDoNotFitAreNamed) {
  const Weight a = float_weight(random_tensor(Shape{2, 4}, 1)), wide = float_weight(random_tensor(Shape{2, 6}, 1));
  const Weight q = encode(random_tensor(Shape{2, 4}, 1), find_preset("int8")->scheme, "q", nullptr);
  const Weight widths[] = {a, wide}, schemes[] = {q, a};
  EXPECT_NE(message([&] { concat_rows(widths, "w"); }).find("part 1 has 6 columns (expected 4"), std::string::npos);
  EXPECT_NE(message([&] { concat_rows(schemes, "w"); }).find("stored as float (expected int8"), std::string::npos);
  EXPECT_NE(message([&] { concat_rows({}, "w"); }).find("nothing to join"), std::string::npos);
}

TEST(Weight, BlocksOfRowsMayNotBeCutByAJoin) {
  const QuantScheme scheme = *parse_scheme("fp8/4x8");
  const Weight parts[] = {encode(random_tensor(Shape{6, 8}, 1), scheme, "a", nullptr),
                          encode(random_tensor(Shape{8, 8}, 2), scheme, "b", nullptr)};
  EXPECT_NE(message([&] { concat_rows(parts, "w"); }).find("6 rows (expected a multiple of the scale group's 4"),
            std::string::npos);
}

// Rows [begin, begin + count) of values.
Tensor some_rows(const Tensor& values, int64_t begin, int64_t count) {
  return to_f32(values.row_range(begin, count));
}

TEST(Weight, SlicesDecodeToExactlyTheirRowsInEveryScheme) {
  const Tensor values = random_tensor(Shape{256, 256}, 1);
  for (const Preset& preset : presets()) {
    const Weight whole = encode(values, preset.scheme, "w", nullptr);
    const Tensor decoded = decode(whole);
    for (const auto& [begin, count] : {std::pair{0, 128}, std::pair{128, 128}, std::pair{0, 256}, std::pair{128, 0}}) {
      const Weight part = slice_rows(whole, begin, count, "w");
      EXPECT_EQ(part.scheme, whole.scheme) << preset.name;
      const Tensor got = decode(part), want = some_rows(decoded, begin, count);
      ASSERT_EQ(got.shape(), want.shape()) << preset.name;
      EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(want.bytes())), 0)
          << preset.name << " from " << begin;
    }
  }
}

TEST(Weight, SlicesOfRowGroupsAreWholeGroupsOrRefused) {
  const Weight w = encode(random_tensor(Shape{10, 8}, 1), *parse_scheme("fp8/4x8"), "w", nullptr);
  EXPECT_EQ(slice_rows(w, 4, 4, "w").scales.shape(), (Shape{1, 1}));
  EXPECT_EQ(slice_rows(w, 8, 2, "w").scales.shape(), (Shape{1, 1})) << "the last group is a cut one";
  EXPECT_EQ(slice_rows(w, 4, 6, "w").scales.shape(), (Shape{2, 1}));
  EXPECT_EQ(omni::testing::compare(decode(slice_rows(w, 4, 6, "w")), some_rows(decode(w), 4, 6)).over_range, 0);
  for (const auto& [begin, count] : {std::pair{2, 4}, std::pair{0, 6}, std::pair{4, 5}}) {
    const std::string text = message([&] { slice_rows(w, begin, count, "x.qkv"); });
    EXPECT_NE(text.find("x.qkv: rows " + std::to_string(begin)), std::string::npos) << text;
    EXPECT_NE(text.find("group of 4 rows"), std::string::npos) << text;
  }
}

TEST(Weight, RowsInAnotherOrderKeepTheirValuesInEveryScheme) {
  const Tensor values = random_tensor(Shape{256, 256}, 1);
  std::vector<int64_t> halves(256);
  for (int64_t i = 0; i < 256; ++i) halves[static_cast<size_t>(i)] = (i + 128) % 256;
  for (const Preset& preset : presets()) {
    const Weight whole = encode(values, preset.scheme, "w", nullptr);
    const Tensor decoded = decode(whole), got = decode(permute_rows(whole, halves, "w"));
    for (int64_t row = 0; row < 256; ++row) {
      ASSERT_EQ(std::memcmp(got.f32() + row * 256, decoded.f32() + halves[static_cast<size_t>(row)] * 256, 1024), 0)
          << preset.name << " row " << row;
    }
  }
}

TEST(Weight, AnOrderThatTearsRowGroupsApartIsRefused) {
  const Weight w = encode(random_tensor(Shape{6, 8}, 1), *parse_scheme("fp8/2x8"), "w", nullptr);
  const int64_t whole_groups[] = {4, 5, 1, 0, 2, 3}, torn[] = {0, 2, 1, 3, 4, 5};
  const Tensor decoded = decode(w), got = decode(permute_rows(w, whole_groups, "w"));
  for (int64_t row = 0; row < 6; ++row)
    EXPECT_EQ(got.f32()[row * 8 + 3], decoded.f32()[whole_groups[row] * 8 + 3]) << row;
  const std::string text = message([&] { permute_rows(w, torn, "x.q"); });
  EXPECT_NE(text.find("x.q: rows change places across scale groups of 2 rows"), std::string::npos) << text;
}

TEST(Weight, BytesCountEveryPart) {
  const Weight w = encode(random_tensor(Shape{4, 256}, 1), find_preset("q4_k")->scheme, "w", nullptr);
  EXPECT_EQ(w.bytes(), 4 * (128 + 8 + 8 + 2 + 2));
  EXPECT_EQ(layout_name(w.layout), "canonical");
}

}  // namespace
}  // namespace omni
