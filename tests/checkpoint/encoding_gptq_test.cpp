#include <gtest/gtest.h>

#include <cmath>

#include "small_checkpoint.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using namespace omni::testing;

// A layer made by another packer: values[n][k] = (code - point) * scale.
struct Layer {
  int bits = 4;
  int64_t cols = 64, rows = 32, group = 32;
  bool symmetric = false, first_format = true;
  std::vector<int> order = {};  // empty: no g_idx
  int spread = 3;               // points lie this far apart around the middle
};

struct Packed {
  SmallCheckpoint small;
  Tensor want;
};

Packed pack(const Layer& layer) {
  const int64_t width = layer.group == -1 ? layer.cols : layer.group;
  const int64_t groups = (layer.cols + width - 1) / width;
  const auto codes = some_codes(static_cast<size_t>(layer.cols), static_cast<size_t>(layer.rows), 1 << layer.bits);
  auto points = some_codes(static_cast<size_t>(groups), static_cast<size_t>(layer.rows), layer.spread, 2);
  Tensor scales(DType::kF16, Shape{groups, layer.rows});
  for (int64_t i = 0; i < groups * layer.rows; ++i)
    scales.data<uint16_t>()[i] = f32_to_f16(0.01f + 0.001f * static_cast<float>(i % 17));
  auto stored = points;
  for (size_t g = 0; g < points.size(); ++g) {
    for (size_t n = 0; n < points[g].size(); ++n) {
      points[g][n] = layer.symmetric ? 1 << (layer.bits - 1) : points[g][n] + 1;
      stored[g][n] = points[g][n] - (layer.first_format ? 1 : 0);
    }
  }
  Packed out;
  out.want = Tensor(DType::kF32, Shape{layer.rows, layer.cols});
  for (int64_t n = 0; n < layer.rows; ++n) {
    for (int64_t k = 0; k < layer.cols; ++k) {
      const int64_t g = layer.order.empty() ? k / width : layer.order[static_cast<size_t>(k)];
      const int code = codes[static_cast<size_t>(k)][static_cast<size_t>(n)];
      const int point = points[static_cast<size_t>(g)][static_cast<size_t>(n)];
      out.want.f32()[n * layer.cols + k] =
          static_cast<float>(code - point) * f16_to_f32(scales.data<uint16_t>()[g * layer.rows + n]);
    }
  }
  out.small.tensors = {{"a.b.qweight", pack_columns(codes, layer.bits)},
                       {"a.b.qzeros", pack_rows(stored, layer.bits)},
                       {"a.b.scales", scales}};
  if (!layer.order.empty()) {
    const std::vector<int32_t> order(layer.order.begin(), layer.order.end());
    out.small.tensors.push_back({"a.b.g_idx", tensor_of(DType::kI32, Shape{layer.cols}, order)});
  }
  out.small.config = R"({"quantization_config": {"quant_method": "gptq", "bits": )" + std::to_string(layer.bits) +
                     R"(, "group_size": )" + std::to_string(layer.group) + R"(, "sym": )" +
                     (layer.symmetric ? "true" : "false") + R"(, "desc_act": )" +
                     (layer.order.empty() ? "false" : "true") + R"(, "checkpoint_format": ")" +
                     (layer.first_format ? "gptq" : "gptq_v2") + "\"}}";
  return out;
}

TEST(GptqEncoding, RecordedCheckpointsDecodeBitForBit) {
  expect_golden("gptq-int4-g128-sym", "int4", "gptq");
  expect_golden("gptq-int4-g128-desc-act", "int4/g128/ordered", "gptq");
  expect_golden("gptq-int8-g64", "int8/g64", "gptq");
}

TEST(GptqEncoding, EveryWidthSignAndFormatReads) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool symmetric : {true, false}) {
      for (const bool first : {true, false}) {
        for (const int64_t group : {int64_t{32}, int64_t{-1}, int64_t{48}, int64_t{128}}) {
          const Packed packed = pack({.bits = bits, .group = group, .symmetric = symmetric, .first_format = first});
          const OpenedCheckpoint opened(packed.small);
          SCOPED_TRACE(opened.read().scheme.text());
          expect_bits(decode(opened.read()), packed.want);
        }
      }
    }
  }
}

TEST(GptqEncoding, AnOrderOfColumnsIsKeptAndANaturalOneIsNone) {
  std::vector<int> order, natural;
  for (int k = 0; k < 64; ++k) {
    order.push_back(k * 7 % 2);
    natural.push_back(k / 32);
  }
  const Packed mixed = pack({.order = order}), plain = pack({.order = natural});
  const OpenedCheckpoint first(mixed.small), second(plain.small);
  EXPECT_EQ(first.read().scheme.text(), "int4/g32/asym/ordered");
  EXPECT_EQ(second.read().scheme.text(), "int4_g32_asym");
  expect_bits(decode(first.read()), mixed.want);
  expect_bits(decode(second.read()), plain.want);
}

// The tool subtracts 0x11111111 from whole words: a point of 0 borrows from the next.
TEST(GptqEncoding, ABorrowBetweenStoredPointsIsUndone) {
  Packed packed = pack({.first_format = false, .spread = 1});
  Tensor& points = packed.small.at(".qzeros");
  const auto expect_point = [&](int at, int want) {
    const OpenedCheckpoint opened(packed.small);
    EXPECT_EQ(opened.read().zeros.f32()[at * 2], static_cast<float>(want)) << at;
  };
  points.data<uint32_t>()[0] = 0x11111101u - 0x11111111u;
  packed.small.edit("gptq_v2", "gptq");
  expect_point(0, 1);
  expect_point(1, 0);
  expect_point(2, 1);
}

TEST(GptqEncoding, DynamicRulesChangeLayersOrLeaveThemFloat) {
  Packed eight = pack({.bits = 8, .symmetric = true}), four = pack({.symmetric = true});
  SmallCheckpoint small = four.small;
  for (const NamedTensor& t : eight.small.tensors) small.tensors.push_back({"wide" + t.name.substr(3), t.tensor});
  EXPECT_NE(refusal(small).find("wide.scales"), std::string::npos) << refusal(small);
  small.edit("\"bits\"", R"("dynamic": {"-:.*free.*": {}, "+:wi.*": {"bits": 8}}, "bits")");
  small.tensors.push_back({"free.weight", random_tensor(Shape{4, 4}, 1)});
  const OpenedCheckpoint opened(small);
  EXPECT_EQ(opened.read("a.b").scheme.text(), "q4_0");
  EXPECT_EQ(opened.read("wide").scheme.text(), "q8_0");
  EXPECT_FALSE(opened.read("free").scheme.quantized());
  small.edit(".*free.*", "a\\\\.b");
  EXPECT_NE(refusal(small).find("a.b.qweight: is quantized, though dynamic"), std::string::npos) << refusal(small);
}

TEST(GptqEncoding, TheFileOfAutoGptqServesAsConfig) {
  Packed packed = pack({});
  packed.small.file = "quantize_config.json";
  packed.small.config = R"({"bits": 4, "group_size": 32, "desc_act": false, "sym": false, "true_sequential": true})";
  expect_bits(decode(OpenedCheckpoint(packed.small).read()), packed.want);
}

TEST(GptqEncoding, NegativeScalesAreAutoRounds) {
  Packed packed = pack({.symmetric = true});
  packed.small.at(".scales").data<uint16_t>()[3] |= 0x8000;
  EXPECT_NE(refusal(packed.small).find("a.b.scales: holds -0.01"), std::string::npos) << refusal(packed.small);
  packed.small.edit("\"bits\"", R"("autoround_version": "0.5", "bits")");
  EXPECT_EQ(refusal(packed.small), "");
}

TEST(GptqEncoding, DamageIsNamed) {
  const Packed sound = pack({.order = std::vector<int>(64, 1)});
  expect_refusals(
      sound.small,
      {
          {"5 bits", [](SmallCheckpoint& c) { c.edit(": 4", ": 5"); }, {"bits is 5", "2, 3, 4 or 8"}},
          {"no bits", [](SmallCheckpoint& c) { c.edit("\"bits\": 4,", ""); }, {"bits"}},
          {"group 0", [](SmallCheckpoint& c) { c.edit("32", "0"); }, {"group_size is 0", "-1 or > 0"}},
          {"group -2", [](SmallCheckpoint& c) { c.edit("32", "-2"); }, {"group_size is -2"}},
          {"another group", [](SmallCheckpoint& c) { c.edit("32", "16"); }, {"a.b.scales", "[2, 32]", "[4, 32]"}},
          {"a group of text", [](SmallCheckpoint& c) { c.edit("32", "\"x\""); }, {"group_size"}},
          {"another format", [](SmallCheckpoint& c) { c.edit("gptq\"}", "marlin\"}"); }, {"marlin", "gptq_v2"}},
          {"sym over other points", [](SmallCheckpoint& c) { c.edit("false", "true"); }, {"a.b.qzeros", "zero point"}},
          {"half the codes",
           [](SmallCheckpoint& c) {
             c.at(".qweight") = Tensor(DType::kI32, Shape{4, 32});
           },
           {"a.b.qweight", "[4, 32]", "[8, 32]"}},
          {"codes of another type",
           [](SmallCheckpoint& c) {
             c.at(".qweight") = Tensor(DType::kI64, Shape{8, 32});
           },
           {"a.b.qweight", "i64", "i32"}},
          {"codes of rank 3",
           [](SmallCheckpoint& c) {
             c.at(".qweight") = Tensor(DType::kI32, Shape{8, 32, 1});
           },
           {"a.b.qweight", "a matrix"}},
          {"no codes", [](SmallCheckpoint& c) { c.drop(".qweight"); }, {"a.b.qweight", "no such tensor"}},
          {"no scales", [](SmallCheckpoint& c) { c.drop(".scales"); }, {"a.b.scales", "no such tensor"}},
          {"no zero points", [](SmallCheckpoint& c) { c.drop(".qzeros"); }, {"a.b.qzeros", "no such tensor"}},
          {"zero points of half",
           [](SmallCheckpoint& c) {
             c.at(".qzeros") = Tensor(DType::kI32, Shape{2, 2});
           },
           {"a.b.qzeros", "[2, 2]", "[2, 4]"}},
          {"scales of half",
           [](SmallCheckpoint& c) {
             c.at(".scales") = Tensor(DType::kF16, Shape{2, 16});
           },
           {"a.b.scales", "[2, 16]", "[2, 32]"}},
          {"integer scales",
           [](SmallCheckpoint& c) {
             c.at(".scales") = Tensor(DType::kI8, Shape{2, 32});
           },
           {"a.b.scales", "i8"}},
          {"a NaN", [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[37] = 0x7e00; }, {"NaN at [1, 5]"}},
          {"an infinity", [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[2] = 0x7c00; }, {"Inf at [0, 2]"}},
          {"a zero scale",
           [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[34] = 0; },
           {"a.b.scales", "0 at [1, 2]"}},
          {"a group too far",
           [](SmallCheckpoint& c) { c.at(".g_idx").data<int32_t>()[9] = 2; },
           {"a.b.g_idx", "group 2 at 9", "0 to 1"}},
          {"a negative group", [](SmallCheckpoint& c) { c.at(".g_idx").data<int32_t>()[0] = -1; }, {"group -1 at 0"}},
          {"a short g_idx",
           [](SmallCheckpoint& c) { c.at(".g_idx") = Tensor(DType::kI32, Shape{32}); },
           {"32 columns", "g_idx"}},
          {"an order that none announces",
           [](SmallCheckpoint& c) { c.edit("\"desc_act\": true", "\"desc_act\": false"); },
           {"a.b.g_idx", "out of order", "desc_act"}},
          {"floats beside codes",
           [](SmallCheckpoint& c) {
             c.tensors.push_back({"a.b.weight", random_tensor(Shape{32, 64}, 1)});
           },
           {"a.b.weight", "beside"}},
          {"an orphan",
           [](SmallCheckpoint& c) {
             c.tensors.push_back({"c.g_idx", Tensor(DType::kI32, Shape{4})});
           },
           {"c.g_idx", "belongs to no quantized weight"}},
          {"a bad expression",
           [](SmallCheckpoint& c) { c.edit("\"bits\"", R"("dynamic": {"+:(": {}}, "bits")"); },
           {"dynamic"}},
      });
}

TEST(GptqEncoding, AFloatProjectionAmongQuantizedOnesMustBeListed) {
  Packed packed = pack({});
  for (NamedTensor& t : packed.small.tensors) t.name = "m.q_proj" + t.name.substr(3);
  packed.small.tensors.push_back({"m.k_proj.weight", random_tensor(Shape{4, 64}, 1)});
  packed.small.tensors.push_back({"m.q_norm.weight", random_tensor(Shape{4}, 1)});
  const std::string text = refusal(packed.small);
  EXPECT_NE(text.find("m.k_proj.weight: is a float weight, while m.q_proj"), std::string::npos) << text;
  packed.small.edit("\"bits\"", R"("modules_to_not_convert": ["k_proj"], "bits")");
  EXPECT_EQ(refusal(packed.small), "");
}

}  // namespace
}  // namespace omni
