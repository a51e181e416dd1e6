#include "quant/codec.h"
#include "quant/codec_parts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/error.h"
#include "quant/codec_fit.h"
#include "support/support.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

template <class Grid>
uint8_t code_of(const Grid& grid, float t) {
  uint8_t code = 0;
  write_codes(grid, {&t, 1}, 1, 0, &code);
  return code;
}

using omni::testing::compare;
using omni::testing::random_tensor;

template <class T>
Tensor tensor_of(DType dtype, Shape shape, std::vector<T> stored) {
  Tensor out(dtype, shape);
  EXPECT_EQ(static_cast<size_t>(out.bytes()), stored.size() * sizeof(T));
  std::memcpy(out.raw(), stored.data(), stored.size() * sizeof(T));
  return out;
}
Tensor f16s(Shape shape, const std::vector<float>& values) {
  std::vector<uint16_t> bits;
  for (const float v : values) bits.push_back(f32_to_f16(v));
  return tensor_of(DType::kF16, shape, bits);
}
Tensor f32s(Shape shape, std::vector<float> values) {
  return tensor_of(DType::kF32, shape, std::move(values));
}
Tensor filled(Shape shape, float value) {
  Tensor out(DType::kF32, shape);
  std::fill_n(out.f32(), shape.count(), value);
  return out;
}

Weight stored(const char* scheme, int64_t rows, int64_t cols, Tensor codes, Tensor scales) {
  Weight out;
  out.scheme = *parse_scheme(scheme);
  out.rows = rows;
  out.cols = cols;
  out.codes = std::move(codes);
  out.scales = std::move(scales);
  return out;
}

void expect_values(const Weight& weight, const std::vector<float>& want) {
  const Tensor got = decode(weight);
  ASSERT_EQ(static_cast<size_t>(got.shape().count()), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got.f32()[i], want[i]) << weight.scheme.text() << " at " << i;
}

TEST(CodecDecode, HandWrittenBytesOfEachCodeType) {
  expect_values(
      stored("int8/channel", 2, 2, tensor_of<int8_t>(DType::kI8, {2, 2}, {-127, 1, 2, -3}), f32s({2, 1}, {0.5f, 2.0f})),
      {-63.5f, 0.5f, 4.0f, -6.0f});
  // f8e4m3: 0x38 = 1, 0xc0 = -2, 0x7e = 448, 0x01 = 2^-9.
  expect_values(stored("fp8/tensor", 1, 4, tensor_of<uint8_t>(DType::kF8E4M3, {1, 4}, {0x38, 0xc0, 0x7e, 0x01}),
                       f32s({1, 1}, {0.5f})),
                {0.5f, -1.0f, 224.0f, std::ldexp(1.0f, -10)});
  // Low nibble first; i4 is two's complement.
  expect_values(stored("int4/g2", 1, 4, tensor_of<uint8_t>(DType::kI4, {1, 4}, {0x8f, 0x70}), f16s({1, 2}, {1, 2})),
                {-1, -8, 0, 14});
  // e2m1: 1 = 0.5, 7 = 6, 9 = -0.5, 0xf = -6; e8m0: 128 = 2.
  expect_values(stored("fp4/g4/f8e8m0", 1, 4, tensor_of<uint8_t>(DType::kF4E2M1, {1, 4}, {0x71, 0xf9}),
                       tensor_of<uint8_t>(DType::kF8E8M0, {1, 1}, {128})),
                {1, 12, -1, -12});
  expect_values(stored("nf4/g4", 1, 4, tensor_of<uint8_t>(DType::kNF4, {1, 4}, {0x70, 0xf8}), f32s({1, 1}, {2})),
                {-2, 0, 2 * 0.07958029955625534f, 2});
  expect_values(stored("i5/g2", 1, 2, tensor_of<int8_t>(DType::kI5, {1, 2}, {-16, 15}), f16s({1, 1}, {0.25f})),
                {-4, 3.75f});
}

TEST(CodecDecode, ZeroPointsMinimaAndOuterScales) {
  Weight point =
      stored("int4/g2/asym", 1, 4, tensor_of<uint8_t>(DType::kU4, {1, 4}, {0xf0, 0x53}), f16s({1, 2}, {1, 2}));
  point.zeros = f32s({1, 2}, {8, 4});
  expect_values(point, {-8, 7, -2, 2});
  Weight minimum = stored("u5/g2/min", 1, 2, tensor_of<uint8_t>(DType::kU5, {1, 2}, {0, 31}), f16s({1, 1}, {0.5f}));
  minimum.zeros = f16s({1, 1}, {3});
  expect_values(minimum, {-3, 12.5f});
  Weight q4_k = stored("u4/g2/u8/outer:f16:g4/min", 1, 4, tensor_of<uint8_t>(DType::kU4, {1, 4}, {0x10, 0x2f}),
                       tensor_of<uint8_t>(DType::kU8, {1, 2}, {63, 2}));
  q4_k.zeros = tensor_of<uint8_t>(DType::kU8, {1, 2}, {1, 10});
  q4_k.outer_scales = f16s({1, 1}, {0.5f});
  q4_k.outer_zeros = f16s({1, 1}, {0.25f});
  expect_values(q4_k, {-0.25f, 31.25f, 12.5f, -0.5f});
  Weight q6_k = stored("i6/g2/i8/outer:f16:g4", 1, 4, tensor_of<int8_t>(DType::kI6, {1, 4}, {-32, 31, 1, -1}),
                       tensor_of<int8_t>(DType::kI8, {1, 2}, {-2, 100}));
  q6_k.outer_scales = f16s({1, 1}, {0.5f});
  expect_values(q6_k, {32, -31, 50, -50});
  Weight nvfp4 =
      stored("nvfp4", 2, 16, Tensor(DType::kF4E2M1, {2, 16}), tensor_of<uint8_t>(DType::kF8E4M3, {2, 1}, {0x38, 0x40}));
  std::memset(nvfp4.codes.raw(), 0x22, 16);
  nvfp4.outer_scales = f32s({1, 1}, {3});
  std::vector<float> want(32, 3.0f);
  std::fill(want.begin() + 16, want.end(), 6.0f);
  expect_values(nvfp4, want);
}

TEST(CodecDecode, BlocksOfRowsAndColumnsMayEndInPart) {
  const Weight w = stored("fp8/2x2", 3, 3, tensor_of<uint8_t>(DType::kF8E4M3, {3, 3}, std::vector<uint8_t>(9, 0x38)),
                          f32s({2, 2}, {1, 2, 3, 4}));
  expect_values(w, {1, 1, 2, 1, 1, 2, 3, 3, 4});
}

TEST(CodecDecode, CodesReadBackAsIntegers) {
  const Weight w = stored("int4/g2", 1, 4, tensor_of<uint8_t>(DType::kI4, {1, 4}, {0x8f, 0x70}), f16s({1, 2}, {1, 1}));
  EXPECT_EQ(code_at(w, 0, 0), -1);
  EXPECT_EQ(code_at(w, 0, 1), -8);
  EXPECT_EQ(code_at(w, 0, 3), 7);
}

// Plain round-to-nearest of one group as written down for each type; the error that encoders must not exceed.
double plain_error(const QuantScheme& s, std::span<const float> x, float outer) {
  float low = 0, high = 0, extreme = 0;
  for (const float v : x) {
    low = std::min(low, v);
    high = std::max(high, v);
    if (std::fabs(v) > std::fabs(extreme)) extreme = v;
  }
  const float size = std::fabs(extreme);
  const auto sum = [&](float scale, float offset, auto nearest) {
    double out = 0;
    for (const float v : x) {
      const double d = (scale == 0 ? 0.0f : nearest((v + offset) / scale) * scale) - offset - static_cast<double>(v);
      out += d * d;
    }
    return out;
  };
  const auto integer = [](float a, float b) { return [=](float t) { return std::clamp(std::nearbyint(t), a, b); }; };
  const IntRange range = dtype_info(s.codes).is_float ? IntRange{0, 0} : int_range(s.codes);
  const auto a = static_cast<float>(range.low), b = static_cast<float>(range.high);
  if (s.zero == Zero::kPoint) {
    const float scale = round_scale(s.scale.dtype, (high - low) / b);
    const float zero = scale == 0 ? 0 : std::clamp(std::nearbyint(-low / scale), 0.0f, b);
    return sum(scale, 0, integer(-zero, b - zero));
  }
  if (s.zero == Zero::kMinimum) {
    low = *std::ranges::min_element(x);
    high = *std::ranges::max_element(x);
    return sum(round_scale(s.scale.dtype, (high - low) / b), round_scale(s.scale.dtype, -low), integer(0, b));
  }
  if (!dtype_info(s.codes).is_float) {
    const double maximum = sum(round_scale(s.scale.dtype, size / b), 0, integer(s.codes == DType::kI8 ? -b : a, b));
    if (s.codes == DType::kI8) return maximum;
    return std::min(maximum, sum(round_scale(s.scale.dtype, extreme / a), 0, integer(a, b)));
  }
  if (s.codes == DType::kNF4) return sum(size, 0, [](float t) { return kNF4Values[f32_to_nf4(t)]; });
  const float largest = s.codes == DType::kF4E2M1 ? 6.0f : 448.0f;
  float scale = size / largest;
  if (s.scale.dtype == DType::kF8E8M0 && size > 0)
    scale = std::exp2(std::floor(std::log2(size)) - (largest == 6 ? 2 : 8));
  if (outer > 0) scale = f8e4m3_to_f32(f32_to_f8e4m3(size / largest / outer)) * outer;
  return sum(scale, 0,
             [&](float t) { return largest == 6 ? f4e2m1_to_f32(f32_to_f4e2m1(t)) : f8e4m3_to_f32(f32_to_f8e4m3(t)); });
}

double squared_error(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.shape().count(); ++i)
    sum += (static_cast<double>(a.f32()[i]) - b.f32()[i]) * (static_cast<double>(a.f32()[i]) - b.f32()[i]);
  return sum;
}

// Random rows of several kinds: normal, uniform and off centre, with an outlier, constant, zeros, one-sided.
Tensor mixed_rows(uint32_t seed) {
  Tensor x = random_tensor(Shape{24, 512}, seed, 0.05f);
  for (int64_t row = 0; row < 24; ++row) {
    float* v = x.f32() + row * 512;
    if (row % 6 == 1) v[row * 7] = 3.0f;
    if (row % 6 == 2) std::fill_n(v, 512, -0.75f);
    if (row % 6 == 3) std::fill_n(v, 512, 0.0f);
    if (row % 6 == 4)
      for (int64_t c = 0; c < 512; ++c) v[c] = std::fabs(v[c]) + 0.1f;
    if (row % 6 == 5)
      for (int64_t c = 0; c < 512; ++c) v[c] = -v[c] * v[c];
  }
  return x;
}

class EveryPreset : public ::testing::TestWithParam<Preset> {};
INSTANTIATE_TEST_SUITE_P(Codec, EveryPreset, ::testing::ValuesIn(presets().begin(), presets().end()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(EveryPreset, NeverWorseThanPlainRounding) {
  const QuantScheme& s = GetParam().scheme;
  if (s.outer_scale.dtype == DType::kF16) GTEST_SKIP() << "K-quants: see SuperBlocks";
  const Tensor x = mixed_rows(7);
  const Weight weight = encode(x, s, "w", nullptr);
  const Tensor got = decode(weight);
  float largest = 0;
  for (int64_t i = 0; i < x.shape().count(); ++i) largest = std::max(largest, std::fabs(x.f32()[i]));
  if (s.scale.group.rows == 0) {
    EXPECT_LE(squared_error(got, x), plain_error(s, {x.f32(), static_cast<size_t>(x.shape().count())}, 0) * 1.0001);
    return;
  }
  const float outer = s.outer_scale.dtype == DType::kNone ? 0.0f : *weight.outer_scales.f32();
  if (outer > 0) {
    EXPECT_NEAR(outer / (largest / 2688.0f), 1.0f, 1e-4f);
    EXPECT_TRUE(exact_inverse(outer).has_value()) << "1 / " << outer << " is not exact";
  }
  const int64_t width = s.scale.group.cols == 0 ? x.cols() : s.scale.group.cols;
  for (int64_t at = 0; at < x.shape().count(); at += width) {
    const double plain = plain_error(s, {x.f32() + at, static_cast<size_t>(width)}, outer);
    double mine = 0;
    for (int64_t i = at; i < at + width; ++i) mine += std::pow(static_cast<double>(got.f32()[i]) - x.f32()[i], 2);
    ASSERT_LE(mine, plain * 1.0001 + 1e-12) << "group at row " << at / 512 << ", column " << at % 512;
  }
}

// Largest relative error of normal values: about (step / 2) / sqrt(3) over the scheme's usual range, with 25 % room.
TEST_P(EveryPreset, RelativeErrorIsThatOfItsBits) {
  const Tensor x = random_tensor(Shape{64, 512}, 3, 0.02f);
  const Weight w = encode(x, GetParam().scheme, "w", nullptr);
  const double error = relative_error(x, w);
  const int bits = dtype_info(GetParam().scheme.codes).bits;
  double bound = GetParam().scheme.codes == DType::kI8 ? 0.0095 : 0.03;  // i8 over +-3.7 sigma; E4M3: 2^-4 / sqrt(3)
  if (bits == 4) bound = 0.125;
  if (bits == 5) bound = 0.055;
  if (bits == 6) bound = 0.025;
  EXPECT_LT(error, bound) << error;
  EXPECT_GT(error, 0.0005);
}

TEST_P(EveryPreset, ZerosStayZerosAndConstantsStayNear) {
  const Tensor zeros = decode(encode(filled(Shape{2, 256}, 0.0f), GetParam().scheme, "w", nullptr));
  for (int64_t i = 0; i < 512; ++i) ASSERT_EQ(zeros.f32()[i], 0.0f) << i;
  const DType scale = GetParam().scheme.scale.dtype;
  const float room = scale == DType::kF8E8M0 ? 0.17f : 0.01f;  // powers of two cannot follow a constant
  for (const float value : {0.75f, -0.75f, 0.05f}) {
    const Tensor got = decode(encode(filled(Shape{2, 256}, value), GetParam().scheme, "w", nullptr));
    for (int64_t i = 0; i < 512; ++i) ASSERT_NEAR(got.f32()[i] / value, 1.0f, room) << value << " at " << i;
  }
}

TEST_P(EveryPreset, TinyValuesDoNotGrowAndHugeOnesAreRefusedOrKept) {
  Tensor x = random_tensor(Shape{2, 256}, 4, 1.0f);
  for (int64_t i = 0; i < 512; ++i) x.f32()[i] *= 1e-30f;
  const Tensor got = decode(encode(x, GetParam().scheme, "w", nullptr));
  for (int64_t i = 0; i < 512; ++i) ASSERT_LE(std::fabs(got.f32()[i]), 5e-30f) << i;
  x = random_tensor(Shape{2, 256}, 4, 1e30f);
  const bool narrow =
      GetParam().scheme.scale.dtype == DType::kF16 || GetParam().scheme.outer_scale.dtype == DType::kF16;
  if (narrow) {
    EXPECT_THROW(encode(x, GetParam().scheme, "w", nullptr), Error);
  } else {
    const Tensor huge = decode(encode(x, GetParam().scheme, "w", nullptr));
    for (int64_t i = 0; i < 512; ++i) ASSERT_TRUE(std::isfinite(huge.f32()[i])) << i;
    EXPECT_LT(compare(huge, x).over_range, 0.1) << compare(huge, x).text();
  }
}

TEST_P(EveryPreset, ThreadsDoNotChangeTheResult) {
  ThreadPool pool(2);
  const Tensor x = mixed_rows(9);
  const Tensor alone = decode(encode(x, GetParam().scheme, "w", nullptr));
  const Tensor together = decode(encode(x, GetParam().scheme, "w", &pool));
  EXPECT_EQ(std::memcmp(alone.raw(), together.raw(), static_cast<size_t>(alone.bytes())), 0);
}

TEST_P(EveryPreset, EncodingDecodedValuesAgainLosesAlmostNothing) {
  const Tensor once = decode(encode(random_tensor(Shape{8, 512}, 5), GetParam().scheme, "w", nullptr));
  const double again = relative_error(once, encode(once, GetParam().scheme, "w", nullptr));
  const double first = relative_error(random_tensor(Shape{8, 512}, 5),
                                      encode(random_tensor(Shape{8, 512}, 5), GetParam().scheme, "w", nullptr));
  EXPECT_LE(again, first * 0.75) << again << " after " << first;
}

TEST_P(EveryPreset, NonFiniteValuesAreRefusedByRowAndColumn) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Tensor x = random_tensor(Shape{4, 256}, 6);
    x.f32()[2 * 256 + 77] = bad;
    try {
      encode(x, GetParam().scheme, "blocks.1.proj", nullptr);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), "blocks.1.proj");
      EXPECT_NE(error.found().find("row 2, column 77"), std::string::npos) << error.what();
    }
  }
}

TEST_P(EveryPreset, ColumnsThatGroupsDoNotDivideAreRefusedByBothNumbers) {
  const QuantScheme& s = GetParam().scheme;
  const int group = std::max(s.scale.group.cols, s.outer_scale.group.cols);
  if (group == 0) GTEST_SKIP() << "no groups along columns";
  try {
    encode(random_tensor(Shape{2, group + 8}, 1), s, "w", nullptr);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(error.found().find(std::to_string(group + 8) + " columns"), std::string::npos) << error.what();
    EXPECT_NE(error.found().find("group of " + std::to_string(group)), std::string::npos) << error.what();
  }
}

TEST(CodecSuperBlocks, NeverWorseThanPlainTwoLevelRounding) {
  const Tensor x = mixed_rows(11);
  for (const char* name : {"q4_k", "q5_k"}) {
    const QuantScheme s = find_preset(name)->scheme;
    const auto top = static_cast<float>(int_range(s.codes).high);
    const Tensor got = decode(encode(x, s, "w", nullptr));
    for (int64_t at = 0; at < x.shape().count(); at += 256) {
      float scale[8], minimum[8], d = 0, dm = 0;
      for (int g = 0; g < 8; ++g) {
        const float* v = x.f32() + at + g * 32;
        const float low = std::min(0.0f, *std::min_element(v, v + 32)),
                    high = std::max(0.0f, *std::max_element(v, v + 32));
        scale[g] = (high - low) / top;
        minimum[g] = -low;
        d = std::max(d, scale[g] / 63);
        dm = std::max(dm, minimum[g] / 63);
      }
      d = f16_to_f32(f32_to_f16(d));
      dm = f16_to_f32(f32_to_f16(dm));
      double plain = 0, mine = 0;
      for (int i = 0; i < 256; ++i) {
        const float v = x.f32()[at + i];
        const float sc = d == 0 ? 0 : std::min(63.0f, std::nearbyint(scale[i / 32] / d)) * d;
        const float m = dm == 0 ? 0 : std::min(63.0f, std::nearbyint(minimum[i / 32] / dm)) * dm;
        const float q = sc == 0 ? 0 : std::clamp(std::nearbyint((v + m) / sc), 0.0f, top);
        plain += std::pow(static_cast<double>(q * sc - m) - v, 2);
        mine += std::pow(static_cast<double>(got.f32()[at + i]) - v, 2);
      }
      ASSERT_LE(mine, plain * 1.0001 + 1e-12) << name << " at row " << at / 512 << ", column " << at % 512;
    }
  }
}

TEST(CodecEncode, UnknownCombinationsAreRefusedByName) {
  const Tensor x = random_tensor(Shape{4, 256}, 1);
  for (const char* text : {"int8/channel/rank16", "int8/channel/rot64", "fp8/tensor/static", "int4/128x128/asym",
                           "fp4/g16/outer:bf16:tensor", "i4/g32/min", "int4/g32/u8"}) {
    const auto scheme = parse_scheme(text);
    ASSERT_TRUE(scheme.has_value()) << text;
    EXPECT_THROW(encode(x, *scheme, "w", nullptr), Error) << text;
  }
  EXPECT_THROW(encode(random_tensor(Shape{2, 5}, 1), *parse_scheme("int4/channel"), "w", nullptr), Error);
}

TEST(CodecEncode, ScalesOfBlocksCoverTheirRowsAndColumns) {
  const Tensor x = random_tensor(Shape{130, 200}, 8);
  const Weight w = encode(x, *parse_scheme("fp8/128x128"), "w", nullptr);
  EXPECT_EQ(w.scales.shape(), (Shape{2, 2}));
  EXPECT_LT(relative_error(x, w), 0.03);
}

TEST(CodecGrids, QuickRoundingEqualsTheReference) {
  const Tensor random = random_tensor(Shape{20000}, 12, 40.0f);
  std::vector<float> values(random.f32(), random.f32() + 20000);
  for (int bits = 0; bits < 127; ++bits) {  // every grid value and every midpoint
    const float a = f8e4m3_to_f32(static_cast<uint8_t>(bits));
    values.push_back(a);
    if (bits < 126) values.push_back((a + f8e4m3_to_f32(static_cast<uint8_t>(bits + 1))) / 2);
  }
  for (int i = -4000; i <= 4000; ++i) values.push_back(static_cast<float>(i) / 500);
  values.insert(values.end(), {1e30f, -1e30f, 1e-30f, 464.0f, 480.0f, 5.0f, -5.0f, 2.5f, 3.5f});
  for (const float v : values) {
    ASSERT_EQ(quick_f8e4m3(v), f32_to_f8e4m3(v)) << v;
    ASSERT_EQ(quick_f8e4m3(-v), f32_to_f8e4m3(-v)) << v;
    ASSERT_EQ(code_of(E2M1Grid{}, v), f32_to_f4e2m1(v)) << v;
    ASSERT_EQ(fit_sums(E2M1Grid{}, {&v, 1}, 1, 0).q, f4e2m1_to_f32(f32_to_f4e2m1(v))) << v;
    ASSERT_EQ(fit_sums(E4M3Grid{}, {&v, 1}, 1, 0).q, f8e4m3_to_f32(f32_to_f8e4m3(v))) << v;
    ASSERT_EQ(code_of(E4M3Grid{}, v), f32_to_f8e4m3(v)) << v;
    ASSERT_EQ(code_of(E5M2Grid{}, v), f32_to_f8e5m2(v)) << v;
    if (std::fabs(v) < 1e6f) {
      ASSERT_EQ(code_of(NF4Grid{}, v), f32_to_nf4(v)) << v;
    }
  }
}

TEST(CodecGrids, ManyCandidatesSumUpAsEachAlone) {
  const Tensor random = random_tensor(Shape{1111}, 3, 2.0f);
  const std::span<const float> all(random.f32(), 1111);
  const auto check = [&](const auto& grid, IntGrid bounds) {
    for (const size_t size : {1, 15, 16, 31, 32, 600, 1111}) {
      Candidates candidates;
      for (const float scale : {0.1f, 0.25f, -0.3f, 1.0f, 3.0f}) candidates.add(scale, scale / 2, bounds);
      const ManySums many = fit_many(grid, all.first(size), candidates);
      for (size_t i = 0; i < candidates.count; ++i) {
        const FitSums one = fit_sums(grid, all.first(size), candidates.scale[i], candidates.minimum[i]);
        const double slack = 1e-5 * static_cast<double>(size);
        EXPECT_NEAR(many.wrong[i], one.wrong, slack * (1 + one.wrong)) << i << " of " << size;
        EXPECT_NEAR(many.tq[i], one.tq, slack * (1 + one.qq)) << i << " of " << size;
        EXPECT_NEAR(many.qq[i], one.qq, slack * (1 + one.qq)) << i << " of " << size;
      }
    }
  };
  check(IntGrid{-8, 7}, {-8, 7});
  check(E4M3Grid{}, {0, 0});
  check(E2M1Grid{}, {0, 0});
  check(NF4Grid{}, {0, 0});
}

TEST(CodecGrids, LargestMagnitudeSeesEveryPlace) {
  for (const size_t size : {1, 5, 16, 17, 40}) {
    for (size_t at = 0; at < size; ++at) {
      std::vector<float> x(size, 0.5f);
      x[at] = -3;
      EXPECT_EQ(largest_magnitude(x), 3) << at << " of " << size;
      EXPECT_EQ(signed_extreme(x), -3) << at << " of " << size;
      x[at] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_FALSE(std::isfinite(largest_magnitude(x))) << at << " of " << size;
    }
  }
}

TEST(CodecActivation, CodesAndScalesAreThoseComputedByHand) {
  const Tensor x = f32s({3, 4}, {127, -127, 0.5f, 1.5f, 0, 0, 0, 0, 254, 3, -5, 2});
  ActFormat format{.quant = ActQuant::kPerToken, .codes = DType::kI8, .storage = DType::kI8};
  const Activation a = quantize_activation(x, format);
  EXPECT_EQ(a.scales.f32()[0], 1.0f);
  EXPECT_EQ(a.scales.f32()[1], 1.0f);
  EXPECT_EQ(a.scales.f32()[2], 2.0f);
  const std::vector<int> want = {127, -127, 0, 2, 0, 0, 0, 0, 127, 2, -2, 1};  // halves go to even
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(a.values.data<int8_t>()[i], want[i]) << i;
  format.storage = DType::kU8;
  const Activation u = quantize_activation(x, format);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(u.values.data<uint8_t>()[i], want[i] + 128) << i;
}

TEST(CodecActivation, EveryStorageStandsForTheSameValues) {
  const Tensor x = random_tensor(Shape{5, 33}, 13);
  for (const ActQuant quant : {ActQuant::kPerToken, ActQuant::kPerTensor, ActQuant::kStatic}) {
    for (const DType codes : {DType::kI8, DType::kF8E4M3}) {
      ActFormat format{
          .quant = quant, .codes = codes, .storage = codes, .static_scale = codes == DType::kI8 ? 0.03f : 0.01f};
      const Tensor want = dequantize_activation(quantize_activation(x, format));
      EXPECT_LT(compare(want, x).over_range, 0.03) << compare(want, x).text();
      for (const DType storage : {DType::kBF16, DType::kF32, codes == DType::kI8 ? DType::kU8 : codes}) {
        format.storage = storage;
        const Activation a = quantize_activation(x, format);
        EXPECT_EQ(a.scales.shape().count(), quant == ActQuant::kPerToken ? 5 : 1);
        EXPECT_EQ(compare(dequantize_activation(a), want).over_range, 0) << dtype_name(storage);
      }
    }
  }
}

TEST(CodecActivation, FloatsPassAndOddStoragesAreRefused) {
  const Tensor x = random_tensor(Shape{2, 8}, 14);
  const Tensor f32 = dequantize_activation(quantize_activation(x, {.storage = DType::kF32}));
  EXPECT_EQ(compare(f32, x).over_range, 0);
  const Activation bf16 = quantize_activation(x, {.storage = DType::kBF16});
  EXPECT_EQ(bf16.values.data<uint16_t>()[3], f32_to_bf16(x.f32()[3]));
  EXPECT_THROW(quantize_activation(x, {.quant = ActQuant::kPerToken, .codes = DType::kF8E4M3, .storage = DType::kI8}),
               Error);
  EXPECT_THROW(quantize_activation(x, {.quant = ActQuant::kPerGroup, .codes = DType::kI8, .storage = DType::kI8}),
               Error);
}

TEST(CodecActivation, ValuesOutsideAStaticScaleSaturate) {
  const Tensor x = f32s({1, 2}, {1000, -1000});
  const Activation a = quantize_activation(
      x, {.quant = ActQuant::kStatic, .codes = DType::kI8, .storage = DType::kI8, .static_scale = 1});
  EXPECT_EQ(a.values.data<int8_t>()[0], 127);
  EXPECT_EQ(a.values.data<int8_t>()[1], -127);
}

}  // namespace
}  // namespace omni
