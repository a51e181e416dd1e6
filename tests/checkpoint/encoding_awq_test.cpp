#include <gtest/gtest.h>

#include "small_checkpoint.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using namespace omni::testing;

TEST(AwqEncoding, TheRecordedCheckpointDecodesBitForBit) {
  expect_golden("awq-int4-g128", "int4/g128/asym", "awq");
}

// GEMV holds codes and points along the rows, in order; words of points are padded.
TEST(AwqEncoding, TheGemvLayoutReads) {
  const auto codes = some_codes(8, 64, 16);
  auto points = some_codes(8, 8, 16, 3);
  Tensor scales(DType::kF16, Shape{8, 8});
  for (int i = 0; i < 64; ++i) scales.data<uint16_t>()[i] = f32_to_f16(i % 8 < 2 ? 0.5f + static_cast<float>(i) : 0);
  SmallCheckpoint small;
  small.tensors = {{"x.qweight", pack_rows(codes, 4)}, {"x.qzeros", pack_rows(points, 4)}, {"x.scales", scales}};
  small.config = R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "GEMV"}})";
  const Weight weight = OpenedCheckpoint(small).read();
  const Tensor got = decode(weight);
  for (int n = 0; n < 8; ++n) {
    for (int k = 0; k < 64; ++k) {
      const auto row = static_cast<size_t>(n);
      const int code = codes[row][static_cast<size_t>(k)] - points[row][static_cast<size_t>(k / 32)];
      const float scale = f16_to_f32(scales.data<uint16_t>()[n * 8 + k / 32]);
      EXPECT_EQ(got.f32()[n * 64 + k], static_cast<float>(code) * scale) << n << ", " << k;
    }
  }
}

TEST(AwqEncoding, WithoutZeroPointsCodesLieAroundTheMiddle) {
  SmallCheckpoint small = SmallCheckpoint::load("awq-int4-g128");
  small.drop(".qzeros");
  small.edit("\"zero_point\": true", "\"zero_point\": false");
  const OpenedCheckpoint symmetric(small), asymmetric(SmallCheckpoint::load("awq-int4-g128"));
  const Weight a = symmetric.read(), b = asymmetric.read();
  EXPECT_EQ(a.scheme.text(), "int4");
  for (int64_t k = 0; k < a.cols; ++k) EXPECT_EQ(code_at(a, 5, k), code_at(b, 5, k) - 8) << k;
}

TEST(AwqEncoding, TheFileOfAutoAwqServesAsConfig) {
  SmallCheckpoint small = SmallCheckpoint::load("awq-int4-g128");
  small.file = "quant_config.json";
  small.config = R"({"zero_point": true, "q_group_size": 128, "w_bit": 4, "version": "GEMM"})";
  EXPECT_EQ(OpenedCheckpoint(small).read().scheme.text(), "int4/g128/asym");
}

TEST(AwqEncoding, DamageIsNamed) {
  expect_refusals(
      SmallCheckpoint::load("awq-int4-g128"),
      {
          {"3 bits", [](SmallCheckpoint& c) { c.edit("\"bits\": 4", "\"bits\": 3"); }, {"bits is 3", "bits 4"}},
          {"group 0", [](SmallCheckpoint& c) { c.edit("128", "0"); }, {"group_size is 0"}},
          {"a group that does not divide", [](SmallCheckpoint& c) { c.edit("128", "96"); }, {"96", "divides 256"}},
          {"another group", [](SmallCheckpoint& c) { c.edit("128", "64"); }, {"down_proj.scales", "[4, 32]"}},
          {"a layout of a kernel", [](SmallCheckpoint& c) { c.edit("gemm", "marlin"); }, {"version", "marlin", "gemv"}},
          {"no zero points", [](SmallCheckpoint& c) { c.drop(".qzeros"); }, {"down_proj.qzeros", "no such tensor"}},
          {"no scales", [](SmallCheckpoint& c) { c.drop(".scales"); }, {"down_proj.scales", "no such tensor"}},
          {"no codes", [](SmallCheckpoint& c) { c.drop(".qweight"); }, {"down_proj.qweight", "no such tensor"}},
          {"half the codes",
           [](SmallCheckpoint& c) {
             c.at(".qweight") = Tensor(DType::kI32, Shape{128, 4});
           },
           {"down_proj.scales", "[2, 32]", "[1, 32]"}},
          {"half the points",
           [](SmallCheckpoint& c) {
             c.at(".qzeros") = Tensor(DType::kI32, Shape{2, 2});
           },
           {"down_proj.qzeros", "[2, 2]", "[2, 4]"}},
          {"points of one group",
           [](SmallCheckpoint& c) {
             c.at(".qzeros") = Tensor(DType::kI32, Shape{1, 4});
           },
           {"down_proj.qzeros", "[1, 4]"}},
          {"points over symmetric codes",
           [](SmallCheckpoint& c) { c.edit("\": true", "\": false"); },
           {"down_proj.qzeros", "zero point"}},
          {"a negative scale",
           [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[33] |= 0x8000; },
           {"down_proj.scales", "at [1, 1]"}},
          {"a NaN", [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[0] = 0x7e01; }, {"NaN at [0, 0]"}},
          {"a zero scale", [](SmallCheckpoint& c) { c.at(".scales").data<uint16_t>()[40] = 0; }, {"0 at [1, 8]"}},
          {"a listed layer",
           [](SmallCheckpoint& c) { c.edit("null", "[\"down_proj\"]"); },
           {"down_proj.qweight", "modules_to_not_convert"}},
      });
}

}  // namespace
}  // namespace omni
