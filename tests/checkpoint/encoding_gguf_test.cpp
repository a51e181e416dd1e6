#include "checkpoint/encoding_gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_write.h"
#include "quant/codec.h"
#include "support/support.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

std::filesystem::path types_file() {
  return testing::golden("checkpoints/gguf-types") / "types.gguf";
}

// The first value that differs in any bit, or "".
std::string first_difference(const Tensor& got, const Tensor& want) {
  if (got.shape().count() != want.shape().count()) return got.shape().text() + " against " + want.shape().text();
  for (int64_t i = 0; i < want.shape().count(); ++i) {
    if (std::memcmp(got.f32() + i, want.f32() + i, sizeof(float)) == 0) continue;
    return "value " + std::to_string(i) + ": " + std::to_string(got.f32()[i]) + " against " +
           std::to_string(want.f32()[i]);
  }
  return "";
}

struct Opened {
  std::unique_ptr<GgufCheckpoint> file;
  std::unique_ptr<StoredWeights> stored;
  explicit Opened(const std::filesystem::path& path) : file(open_gguf(path)) {
    stored = find_encoding(*file, nullptr).open(*file, nullptr);
  }
};

TEST(EncodingGguf, EveryTypeDecodesBitForBitAsGgufPy) {
  const Opened types(types_file());
  const auto golden = open_safetensors(testing::golden("checkpoints/gguf-types") / "golden.safetensors");
  ASSERT_EQ(types.stored->weights().size(), 32u);
  for (const std::string& name : golden->names()) {
    ASSERT_TRUE(types.stored->describe(name).has_value()) << name;
    EXPECT_EQ(first_difference(decode(types.stored->read(name)), golden->tensor(name)), "") << name;
  }
}

TEST(EncodingGguf, EveryBlockTypeThatIsWrittenGivesItsBytesBack) {
  const Opened types(types_file());
  int compared = 0;
  for (const std::string& name : types.stored->weights()) {
    const Weight weight = types.stored->read(name);
    const GgmlTypeInfo& info = types.file->type(name);
    if (ggml_type_of(weight) != info.type) continue;
    const Tensor got = to_gguf_blocks(weight, info.type, name), want = types.file->tensor(name);
    ASSERT_EQ(got.bytes(), want.bytes()) << name;
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(got.bytes())), 0) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 19);  // all but integers, f64, codebooks and TQ1_0
}

TEST(EncodingGguf, RowsOfAStackAreReadAlone) {
  const Opened types(types_file());
  const auto stored = types.stored->describe("t.three_dims_q8_0");
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->rows, 2);
  const Tensor whole = decode(types.stored->read("t.three_dims_q8_0"));
  const Weight second = types.stored->read_rows("t.three_dims_q8_0", 1, 1);
  EXPECT_EQ(second.rows, 1);
  EXPECT_EQ(first_difference(decode(second), whole.row_range(1, 1)), "");
}

TEST(EncodingGguf, NamesMayLeaveOutWeight) {
  const testing::TemporaryFolder folder;
  const Tensor values = testing::random_tensor(Shape{2, 32}, 1);
  write_gguf(folder.path() / "a.gguf", {}, {{{"blk.0.q.weight", GgmlType::kF32, Shape{2, 32}}, values}});
  const Opened opened(folder.path() / "a.gguf");
  EXPECT_EQ(opened.stored->weights(), std::vector<std::string>{"blk.0.q"});
  EXPECT_EQ(first_difference(decode(opened.stored->read("blk.0.q")), values), "");
  EXPECT_EQ(first_difference(decode(opened.stored->read("blk.0.q.weight")), values), "");
  EXPECT_FALSE(opened.stored->describe("blk.0.k").has_value());
  EXPECT_EQ(opened.stored->method(), "") << "a file of floats is not quantized";
}

// A file of one tensor of one row.
std::filesystem::path one_block(const testing::TemporaryFolder& folder, GgmlType type,
                                const std::vector<uint8_t>& bytes) {
  const GgmlTypeInfo& info = ggml_type_info(type);
  Tensor block(DType::kU8, Shape{1, info.block_bytes});
  std::copy(bytes.begin(), bytes.end(), block.data<uint8_t>());
  const std::filesystem::path path = folder.path() / "block.gguf";
  write_gguf(path, {}, {{{"t", type, Shape{1, info.block_values}}, block}});
  return path;
}

TEST(EncodingGguf, OneBitSignsAreReadAsOnes) {
  const testing::TemporaryFolder folder;
  std::vector<uint8_t> bytes(18, 0);
  bytes[1] = 0x38;  // d = 0.5
  bytes[2] = 0b101;
  const Opened opened(one_block(folder, GgmlType::kQ1_0, bytes));
  const Tensor got = decode(opened.stored->read("t"));
  for (int64_t i = 0; i < 128; ++i) EXPECT_EQ(got.f32()[i], i == 0 || i == 2 ? 0.5f : -0.5f) << i;
  EXPECT_EQ(to_gguf_blocks(opened.stored->read("t"), GgmlType::kQ1_0).data<uint8_t>()[2], 0b101);
}

TEST(EncodingGguf, Q8KHasAnF32ScaleAndSumsThatFollowFromTheCodes) {
  const testing::TemporaryFolder folder;
  std::vector<uint8_t> bytes(292, 0);
  const float d = 0.1f;
  std::memcpy(bytes.data(), &d, 4);
  bytes[4] = 0x81;  // -127
  bytes[5] = 7;
  const int16_t sum = -120;
  std::memcpy(bytes.data() + 260, &sum, 2);
  const Opened opened(one_block(folder, GgmlType::kQ8_K, bytes));
  const Weight weight = opened.stored->read("t");
  EXPECT_EQ(decode(weight).f32()[0], -127 * d);
  const Tensor back = to_gguf_blocks(weight, GgmlType::kQ8_K);
  EXPECT_EQ(std::memcmp(back.raw(), bytes.data(), bytes.size()), 0);
}

TEST(EncodingGguf, ThePartsOfAnNvfp4WeightAreItsBlocksAndItsFactor) {
  const Tensor values = testing::random_tensor(Shape{4, 128}, 7, 0.02f);
  const Weight weight = encode(values, find_preset("nvfp4")->scheme, "w", nullptr);
  ASSERT_EQ(ggml_type_of(weight), GgmlType::kNVFP4);
  const testing::TemporaryFolder folder;
  write_gguf(folder.path() / "n.gguf", {},
             {{{"w.weight", GgmlType::kNVFP4, Shape{4, 128}}, to_gguf_blocks(weight, GgmlType::kNVFP4)},
              {{"w.scale", GgmlType::kF32, Shape{1}}, gguf_scale(weight)},
              {{"w.input_scale", GgmlType::kF32, Shape{1}}, gguf_scale(weight)}});
  const Opened opened(folder.path() / "n.gguf");
  check_headers(*opened.file, *opened.stored);
  EXPECT_EQ(opened.stored->describe("w")->tensors.size(), 3u);
  EXPECT_TRUE(opened.stored->read("w").scheme == weight.scheme);
  EXPECT_EQ(first_difference(decode(opened.stored->read("w")), decode(weight)), "");
}

TEST(EncodingGguf, EachExpertOfAnNvfp4StackHasAFactor) {
  QuantScheme scheme = find_preset("nvfp4")->scheme;
  scheme.outer_scale = {};
  const Weight blocks = [&] {
    Weight weight = encode(testing::random_tensor(Shape{6, 64}, 3), find_preset("nvfp4")->scheme, "w", nullptr);
    weight.scheme = scheme;
    weight.outer_scales = {};
    return weight;
  }();
  Tensor factors(DType::kF32, Shape{3});
  for (int i = 0; i < 3; ++i) factors.f32()[i] = static_cast<float>(i) + 0.5f;
  const testing::TemporaryFolder folder;
  write_gguf(folder.path() / "n.gguf", {},
             {{{"e.weight", GgmlType::kNVFP4, Shape{3, 2, 64}}, to_gguf_blocks(blocks, GgmlType::kNVFP4)},
              {{"e.scale", GgmlType::kF32, Shape{3}}, factors}});
  const Opened opened(folder.path() / "n.gguf");
  const Tensor plain = decode(blocks), got = decode(opened.stored->read_rows("e", 4, 2));
  for (int64_t i = 0; i < 128; ++i) EXPECT_EQ(got.f32()[i], plain.f32()[256 + i] * 2.5f) << i;
}

TEST(EncodingGguf, EveryPresetWithAGgmlTypeReadsBackToTheSameWeight) {
  const Tensor values = testing::random_tensor(Shape{3, 256}, 11, 0.05f);
  int tried = 0;
  for (const Preset& preset : presets()) {
    const std::optional<GgmlType> type = ggml_type_of(preset.scheme);
    if (!type || *type == GgmlType::kNVFP4) continue;
    const Weight weight = encode(values, preset.scheme, preset.name, nullptr);
    const testing::TemporaryFolder folder;
    write_gguf(folder.path() / "w.gguf", {},
               {{{"w.weight", *type, Shape{3, 256}}, to_gguf_blocks(weight, *type, preset.name)}});
    const Opened opened(folder.path() / "w.gguf");
    const Weight back = opened.stored->read("w");
    EXPECT_TRUE(back.scheme == weight.scheme) << preset.name << ": " << back.scheme.text();
    EXPECT_EQ(first_difference(decode(back), decode(weight)), "") << preset.name;
    EXPECT_EQ(back.bytes(), weight.bytes()) << preset.name;
    ++tried;
  }
  EXPECT_GE(tried, 9);  // q4_0 q4_1 q4_k q5_0 q5_1 q5_k q6_k q8_0 mxfp4
}

TEST(EncodingGguf, ScalesThatABlockCannotHoldAreRefusedNamingThePlace) {
  Weight weight = encode(testing::random_tensor(Shape{2, 256}, 5), find_preset("q4_k")->scheme, "w", nullptr);
  weight.scales.data<uint8_t>()[8 + 3] = 64;  // of row 1
  try {
    (void)to_gguf_blocks(weight, GgmlType::kQ4_K, "blk.0.ffn_up");
    FAIL() << "a 7-bit scale was stored in 6 bits";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("blk.0.ffn_up"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("row 1"), std::string::npos) << e.what();
  }
  EXPECT_THROW((void)to_gguf_blocks(weight, GgmlType::kQ4_0), Error);
}

struct BadBlock {
  GgmlType type;
  size_t at;
  std::vector<uint8_t> bytes;
  std::string_view says;
};
const BadBlock kBadBlocks[] = {
    {GgmlType::kQ4_0, 0, {0x00, 0x7e}, "scale 0 of row 0 is NaN"},
    {GgmlType::kQ4_1, 2, {0x00, 0x7c}, "minimum 0 of row 0 is infinite"},
    {GgmlType::kQ8_0, 0, {0x00, 0xfc}, "scale 0 of row 0 is infinite"},
    {GgmlType::kQ8_K, 0, {0x00, 0x00, 0xc0, 0x7f}, "NaN"},
    {GgmlType::kQ2_K, 80, {0x01, 0x7c}, "outer scale 0 of row 0 is NaN"},
    {GgmlType::kQ4_K, 2, {0x00, 0x7c}, "outer minimum 0 of row 0 is infinite"},
    {GgmlType::kQ6_K, 208, {0x00, 0x7e}, "NaN"},
    {GgmlType::kIQ2_XXS, 0, {0x00, 0x7e}, "NaN"},
    {GgmlType::kIQ3_S, 0, {0x00, 0x7c}, "infinite"},
    {GgmlType::kMXFP4, 0, {0xff}, "NaN"},
    {GgmlType::kNVFP4, 1, {0x7f}, "NaN"},
    {GgmlType::kNVFP4, 1, {0x88}, "negative scale"},
    {GgmlType::kTQ2_0, 0, {0x03}, "ternary code"},
};

TEST(EncodingGguf, ImpossibleNumbersAreRefusedNamingFileTensorAndRow) {
  for (const BadBlock& bad : kBadBlocks) {
    const testing::TemporaryFolder folder;
    std::vector<uint8_t> bytes(static_cast<size_t>(ggml_type_info(bad.type).block_bytes), 0);
    std::copy(bad.bytes.begin(), bad.bytes.end(), bytes.begin() + static_cast<std::ptrdiff_t>(bad.at));
    const Opened opened(one_block(folder, bad.type, bytes));
    const std::string type(ggml_type_info(bad.type).name);
    try {
      (void)opened.stored->read("t");
      ADD_FAILURE() << type << " was read: " << bad.says;
    } catch (const Error& e) {
      const std::string message = e.what();
      EXPECT_NE(message.find("block.gguf: t: "), std::string::npos) << message;
      EXPECT_NE(message.find(bad.says), std::string::npos) << type << ": " << message;
    }
  }
}

TEST(EncodingGguf, TypesAreFoundByNameAndRemovedOnesSayWhatTheyWere) {
  for (const GgmlTypeInfo& info : ggml_types()) {
    EXPECT_EQ(find_ggml_type(info.name), &info) << info.name;
    EXPECT_EQ(find_ggml_type(static_cast<int>(info.type)), &info) << info.name;
  }
  EXPECT_EQ(find_ggml_type("q4_k"), &ggml_type_info(GgmlType::kQ4_K));
  EXPECT_EQ(find_ggml_type(31), nullptr);
  EXPECT_NE(ggml_type_text(31).find("Q4_0_4_4"), std::string::npos);
  EXPECT_EQ(ggml_type_of(find_preset("int8")->scheme), std::nullopt);
}

}  // namespace
}  // namespace omni
