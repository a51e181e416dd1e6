#include <gtest/gtest.h>

#include <cmath>

#include "small_checkpoint.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using namespace omni::testing;

constexpr int kRows = 4, kCols = 32, kRank = 2;

SmallCheckpoint sound() {
  Tensor codes(DType::kU8, Shape{kRows, kCols / 2}), scales(DType::kF8E4M3, Shape{kCols / 16, kRows});
  for (int i = 0; i < kRows * kCols / 2; ++i) codes.data<uint8_t>()[i] = static_cast<uint8_t>(i * 53 + 7);
  for (int i = 0; i < kCols / 16 * kRows; ++i) scales.data<uint8_t>()[i] = static_cast<uint8_t>(0x30 + i);
  Tensor smooth(DType::kF32, Shape{kCols});
  for (int i = 0; i < kCols; ++i) smooth.f32()[i] = 0.5f + 0.125f * static_cast<float>(i);
  SmallCheckpoint out;
  out.tensors = {{"b.x.qweight", codes},
                 {"b.x.wscales", scales},
                 {"b.x.proj_down", cast(random_tensor(Shape{kCols, kRank}, 1), DType::kBF16)},
                 {"b.x.proj_up", cast(random_tensor(Shape{kRows, kRank}, 2), DType::kBF16)},
                 {"b.x.smooth_factor", smooth},
                 {"b.x.wcscales", tensor_of<float>(DType::kF32, Shape{kRows}, {1, 2, 0.5f, 3})},
                 {"b.x.wtscale", tensor_of<float>(DType::kF32, Shape{1}, {0.25f})},
                 {"free.weight", random_tensor(Shape{2, 2}, 3)}};
  out.config = R"({"quantization_config": {"quant_method": "svdquant", "rank": 2, "precision": "nvfp4",
                   "modules_to_not_convert": ["free"]}})";
  return out;
}

// y = codes (x / smooth) + up (down x), entry by entry.
TEST(SvdquantEncoding, TheEffectiveMatrixHasAllParts) {
  SmallCheckpoint small = sound();
  const OpenedCheckpoint opened(small);
  const Weight weight = opened.read("b.x");
  EXPECT_EQ(weight.scheme.text(), "fp4/g16/f8e4m3/outer:f32:channel/rank2/smooth");
  EXPECT_FALSE(opened.read("free").scheme.quantized());
  const Tensor got = decode(weight), down = to_f32(small.at("proj_down")), up = to_f32(small.at("proj_up"));
  for (int n = 0; n < kRows; ++n) {
    for (int k = 0; k < kCols; ++k) {
      const uint8_t byte = small.at("qweight").data<uint8_t>()[n * kCols / 2 + k / 2];
      const double code = f4e2m1_to_f32(static_cast<uint8_t>(k % 2 == 0 ? byte & 0xf : byte >> 4));
      const double scale =
          f8e4m3_to_f32(small.at("wscales").data<uint8_t>()[k / 16 * kRows + n]) * 0.25 * small.at("wcscales").f32()[n];
      double want = code * scale / small.at("smooth_factor").f32()[k];
      for (int r = 0; r < kRank; ++r) want += static_cast<double>(up.f32()[n * kRank + r]) * down.f32()[k * kRank + r];
      EXPECT_NEAR(got.f32()[n * kCols + k], want, 1e-6 * (1 + std::fabs(want))) << n << ", " << k;
    }
  }
}

TEST(SvdquantEncoding, ScalesOfTensorAndChannelMayBeMissing) {
  SmallCheckpoint small = sound();
  small.drop("wcscales");
  small.drop("wtscale");
  EXPECT_EQ(OpenedCheckpoint(small).read("b.x").outer_scales.f32()[2], 1);
}

TEST(SvdquantEncoding, DamageIsNamed) {
  expect_refusals(
      sound(),
      {
          {"int4", [](SmallCheckpoint& c) { c.edit("nvfp4", "int4"); }, {"precision", "int4", "convert it"}},
          {"no scales", [](SmallCheckpoint& c) { c.drop("wscales"); }, {"b.x.wscales", "no such tensor"}},
          {"no codes", [](SmallCheckpoint& c) { c.drop("qweight"); }, {"b.x.qweight", "no such tensor"}},
          {"no down", [](SmallCheckpoint& c) { c.drop("proj_down"); }, {"b.x.proj_down", "no such tensor"}},
          {"no up", [](SmallCheckpoint& c) { c.drop("proj_up"); }, {"b.x.proj_up", "no such tensor"}},
          {"no smooth", [](SmallCheckpoint& c) { c.drop("smooth_factor"); }, {"smooth_factor", "no such tensor"}},
          {"scales turned",
           [](SmallCheckpoint& c) {
             c.at("wscales") = Tensor(DType::kF8E4M3, Shape{4, 2});
           },
           {"b.x.wscales", "[4, 2]", "[2, 4]"}},
          {"down of other columns",
           [](SmallCheckpoint& c) {
             c.at("proj_down") = Tensor(DType::kBF16, Shape{16, 2});
           },
           {"b.x.proj_down", "[32, 2]"}},
          {"up of another rank",
           [](SmallCheckpoint& c) {
             c.at("proj_up") = Tensor(DType::kBF16, Shape{4, 3});
           },
           {"b.x.proj_up", "[4, 2]"}},
          {"a NaN scale", [](SmallCheckpoint& c) { c.at("wscales").data<uint8_t>()[5] = 0x7f; }, {"b.x.wscales"}},
          {"a negative scale", [](SmallCheckpoint& c) { c.at("wscales").data<uint8_t>()[5] |= 0x80; }, {"b.x.wscales"}},
          {"a zero scale", [](SmallCheckpoint& c) { c.at("wscales").data<uint8_t>()[5] = 0; }, {"b.x.wscales"}},
          {"a zero divisor", [](SmallCheckpoint& c) { c.at("smooth_factor").f32()[3] = 0; }, {"smooth_factor", "at 3"}},
          {"a NaN branch", [](SmallCheckpoint& c) { c.at("proj_up").data<uint16_t>()[1] = 0x7fc0; }, {"b.x.proj_up"}},
          {"a negative whole scale", [](SmallCheckpoint& c) { c.at("wtscale").f32()[0] = -1; }, {"b.x.wtscale"}},
          {"nunchaku's own order",
           [](SmallCheckpoint& c) {
             c.metadata = {{"quantization_config", R"({"method": "svdquant"})"}};
           },
           {"nunchaku", "convert it"}},
      });
}

}  // namespace
}  // namespace omni
