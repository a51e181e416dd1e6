#include "quant/scheme.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace omni {
namespace {

TEST(Scheme, PresetsAreSortedAndEachNameReadsBackToItsScheme) {
  EXPECT_TRUE(std::ranges::is_sorted(presets(), {}, &Preset::name));
  for (const Preset& preset : presets()) {
    EXPECT_EQ(parse_scheme(preset.name), preset.scheme) << preset.name;
    EXPECT_EQ(parse_scheme(preset.scheme.text()), preset.scheme) << preset.name;
    EXPECT_NE(find_preset(preset.scheme.text()), nullptr) << preset.name;
    EXPECT_FALSE(preset.what.empty()) << preset.name;
  }
}

TEST(Scheme, NamesIgnoreCaseAndDashes) {
  EXPECT_EQ(find_preset("FP8-Per-Tensor"), find_preset("fp8_per_tensor"));
  EXPECT_EQ(find_preset("Q4_K"), find_preset("gguf:q4-k"));
  EXPECT_EQ(find_preset("w4a16")->scheme, find_preset("int4")->scheme);
  EXPECT_EQ(find_preset("gguf:fp8"), nullptr);
  EXPECT_EQ(find_preset("fp_8"), nullptr);
  EXPECT_EQ(find_preset(""), nullptr);
}

TEST(Scheme, SpelledFormsMeanTheirPresets) {
  const std::pair<const char*, const char*> kSame[] = {
      {"int8/channel/per-token", "int8"},
      {"int8/per_token", "int8"},
      {"INT8/Channel", "int8_weight_only"},
      {"fp8/channel/per-token", "fp8"},
      {"f8e4m3/channel/f32/per-token:f8e4m3", "fp8"},
      {"fp8/tensor/per-tensor", "fp8_per_tensor"},
      {"int4/g128", "int4"},
      {"i4/g128/f16/sym", "int4"},
      {"int4/g32/asym", "int4_g32_asym"},
      {"u4/g32/asym", "int4_g32_asym"},
      {"int4/g32/sym", "q4_0"},
      {"int4/g32/min", "q4_1"},
      {"nf4/g64", "nf4"},
      {"fp4/g16/f8e4m3/outer:f32:tensor", "nvfp4"},
      {"u4/g32/u8/outer:f16:g256/min", "q4_k"},
      {"i6/g16/i8/outer:f16:g256", "q6_k"},
  };
  for (const auto& [spelled, name] : kSame) {
    const auto scheme = parse_scheme(spelled);
    ASSERT_TRUE(scheme.has_value()) << spelled;
    EXPECT_EQ(*scheme, find_preset(name)->scheme) << spelled;
    EXPECT_EQ(scheme->text(), name) << spelled;
  }
}

TEST(Scheme, EverySpelledFormOfAGridSurvivesARoundTrip) {
  int read = 0;
  for (const char* codes : {"int8", "int4", "i4", "u4", "u8", "fp8", "f8e5m2", "fp4", "nf4", "i5", "u5", "i6"}) {
    for (const char* group : {"channel", "tensor", "g16", "g64", "g128", "128x128"}) {
      for (const char* scale : {"", "/f32", "/f16", "/bf16", "/f8e8m0"}) {
        for (const char* zero : {"", "/sym", "/asym", "/min"}) {
          for (const char* rest : {"", "/per-token", "/per-tensor:f8e4m3", "/static:i8", "/outer:bf16:g256", "/rank32",
                                   "/rot64/per-group"}) {
            const std::string text = std::string(codes) + "/" + group + scale + zero + rest;
            const auto scheme = parse_scheme(text);
            if (!scheme) continue;
            ++read;
            ASSERT_EQ(parse_scheme(scheme->text()), scheme) << text << " printed as " << scheme->text();
          }
        }
      }
    }
  }
  EXPECT_GT(read, 3000);
}

TEST(Scheme, NonsenseIsNoScheme) {
  for (const char* text : {"",
                           "/",
                           "int8/",
                           "int4/g0",
                           "int4/g-1",
                           "int4/g128x",
                           "int4/g99999999999",
                           "fp8/asym",
                           "nf4/g64/min",
                           "u4/g32",
                           "f32/channel",
                           "int8/channel/channel",
                           "int8/per-token/per-token",
                           "int4/g128/f16/bf16",
                           "int8/banana",
                           "int4/g32/asym/sym",
                           "128x128",
                           "int8/per-token:i4",
                           "int4/outer:f16",
                           "1x128",
                           "fp8/1x128",
                           "int3/g128"}) {
    EXPECT_FALSE(parse_scheme(text).has_value()) << text;
  }
}

TEST(Scheme, BitsPerWeightCountScales) {
  const auto bits = [](const char* name) { return bits_per_weight(find_preset(name)->scheme, 256, 512); };
  EXPECT_DOUBLE_EQ(bits("q8_0"), 8.5);
  EXPECT_DOUBLE_EQ(bits("q4_0"), 4.5);
  EXPECT_DOUBLE_EQ(bits("q4_1"), 5.0);
  EXPECT_DOUBLE_EQ(bits("q5_0"), 5.5);
  EXPECT_DOUBLE_EQ(bits("q4_k"), 4.5);
  EXPECT_DOUBLE_EQ(bits("q5_k"), 5.5);
  EXPECT_DOUBLE_EQ(bits("q6_k"), 6.5625);
  EXPECT_DOUBLE_EQ(bits("int8"), 8 + 32.0 / 512);
  EXPECT_DOUBLE_EQ(bits("fp8_per_tensor"), 8 + 32.0 / (256 * 512));
  EXPECT_DOUBLE_EQ(bits("nvfp4"), 4.5 + 32.0 / (256 * 512));
  EXPECT_DOUBLE_EQ(bits("int4_g32_asym"), 4 + (16 + 4) / 32.0);
}

}  // namespace
}  // namespace omni
