// What a Spelling writes its Encoding reads back to the same numbers; the bytes are those of the tools' layouts.
#include "checkpoint/spelling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/encoding.h"
#include "checkpoint/pack_words.h"
#include "checkpoint/unpack_words.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

using testing::random_tensor;

// Weights a, b.q of some schemes and a float c, written as one file and opened again.
class Written {
 public:
  Written(const Spelling& spelling, const std::vector<std::pair<std::string, Weight>>& weights,
          const std::vector<NamedTensor>& floats) {
    std::vector<TensorHeader> headers;
    std::vector<SpelledWeight> spelled;
    std::vector<std::string> kept;
    for (const auto& [name, weight] : weights) {
      spelled.push_back({name, weight.scheme, weight.rows, weight.cols});
      for (TensorHeader& header : spelling.headers(spelled.back())) headers.push_back(std::move(header));
    }
    for (const NamedTensor& tensor : floats) {
      headers.push_back({tensor.name, tensor.tensor.dtype(), tensor.tensor.shape()});
      kept.push_back(tensor.name.substr(0, tensor.name.rfind('.')));
    }
    SafetensorsWriter writer(folder_.path() / "model.safetensors", std::move(headers), {});
    const auto put = [&](const NamedTensor& t) {
      writer.write(t.name, {t.tensor.raw(), static_cast<size_t>(t.tensor.bytes())});
    };
    for (const auto& [name, weight] : weights) {
      for (const NamedTensor& part : spelling.spell(name, weight, name)) put(part);
    }
    for (const NamedTensor& tensor : floats) put(tensor);
    writer.keep();
    config = spelling.config(spelled, kept);
    checkpoint = open_safetensors(folder_.path());
    const JsonObject metadata = JsonObject::parse(config.dump(), "config.json: quantization_config");
    const Encoding& encoding = find_encoding(*checkpoint, &metadata);
    EXPECT_EQ(encoding.name(), spelling.name());
    stored = encoding.open(*checkpoint, &metadata);
    check_headers(*checkpoint, *stored);
  }

 private:
  testing::TemporaryFolder folder_;

 public:
  nlohmann::ordered_json config;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<StoredWeights> stored;
};

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.empty() != b.empty()) return false;
  return a.empty() || (a.dtype() == b.dtype() && a.shape() == b.shape() &&
                       std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0);
}

struct Case {
  std::string format, scheme;
  bool same_scheme = true;  // false: the reader keeps the same numbers in another form
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.format << " " << c.scheme;
}

class RoundTrip : public ::testing::TestWithParam<Case> {};

TEST_P(RoundTrip, ReadsBackToTheSameWeight) {
  const Spelling& spelling = *find_spelling(GetParam().format);
  const QuantScheme scheme = *parse_scheme(GetParam().scheme);
  const Tensor values = random_tensor(Shape{24, 128}, 1), more = random_tensor(Shape{8, 256}, 2);
  ASSERT_EQ(spelling.refusal(std::span(&scheme, 1)), "");
  const Weight a = encode(values, scheme, "a", nullptr), q = encode(more, scheme, "b.q", nullptr);
  const Written file(spelling, {{"a", a}, {"b.q", q}, {"blocks.0.out", a}},
                     {{"c.weight", cast(values, DType::kBF16)}, {"out.weight", cast(values, DType::kBF16)}});
  for (const auto& [name, want] : {std::pair{"a", a}, std::pair{"b.q", q}, std::pair{"blocks.0.out", a}}) {
    const Weight got = file.stored->read(name);
    if (GetParam().same_scheme) {
      EXPECT_EQ(got.scheme.text(), scheme.text()) << name;
      EXPECT_TRUE(same_bits(got.codes, want.codes)) << name;
      EXPECT_TRUE(same_bits(got.scales, want.scales)) << name;
      EXPECT_TRUE(same_bits(got.zeros, want.zeros)) << name;
    }
    EXPECT_EQ(got.scheme.act, scheme.act);
    EXPECT_TRUE(same_bits(decode(got), decode(want))) << name;
  }
  for (const char* name : {"c", "out"}) EXPECT_FALSE(file.stored->describe(name)->scheme.quantized()) << name;
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, RoundTrip,
    ::testing::Values(Case{"compressed-tensors", "int8"}, Case{"compressed-tensors", "int8_weight_only"},
                      Case{"compressed-tensors", "fp8"}, Case{"compressed-tensors", "fp8_per_tensor"},
                      Case{"compressed-tensors", "fp8/16x16"}, Case{"compressed-tensors", "fp8/channel"},
                      Case{"compressed-tensors", "int4"}, Case{"compressed-tensors", "int4/g32"},
                      Case{"compressed-tensors", "int4/g64/bf16"}, Case{"compressed-tensors", "int4_g32_asym"},
                      Case{"compressed-tensors", "int8/g64/asym"}, Case{"compressed-tensors", "i5/g32"},
                      Case{"compressed-tensors", "i3/g32"}, Case{"compressed-tensors", "u3/g32/asym"},
                      Case{"compressed-tensors", "i2/g32"}, Case{"compressed-tensors", "q8_0"},
                      Case{"compressed-tensors", "q4_0"}, Case{"compressed-tensors", "mxfp4"},
                      Case{"compressed-tensors", "mxfp8"}, Case{"compressed-tensors", "nvfp4", false},
                      Case{"fp8", "fp8"}, Case{"fp8", "fp8/tensor/per-token"}, Case{"fp8", "fp8/16x16"},
                      Case{"fp8", "fp8/128x128"}),
    [](const auto& info) {
      std::string name = info.param.format + "_" + info.param.scheme;
      for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
      return name;
    });

TEST(CompressedTensorsSpelling, MixedSchemesBecomeGroupsAndTheLargestIsEveryLinear) {
  const Spelling& spelling = *find_spelling("compressed-tensors");
  const Tensor values = random_tensor(Shape{8, 64}, 1);
  const Weight wide = encode(values, *parse_scheme("int8"), "w", nullptr);
  const Weight narrow = encode(values, *parse_scheme("int4/g32"), "w", nullptr);
  const Written file(spelling, {{"x.a", wide}, {"x.b", narrow}, {"x.c", wide}, {"x.embed_tokens", wide}}, {});
  const auto& groups = file.config["config_groups"];
  EXPECT_EQ(file.config["format"], "mixed-precision");
  EXPECT_EQ(groups["group_0"]["targets"], nlohmann::ordered_json({"Linear"}));
  EXPECT_EQ(groups["group_0"]["format"], "int-quantized");
  EXPECT_EQ(groups["group_0"]["input_activations"]["strategy"], "token");
  EXPECT_EQ(groups["group_1"]["targets"], nlohmann::ordered_json({"x.b"}));
  EXPECT_EQ(groups["group_1"]["weights"]["group_size"], 32);
  EXPECT_EQ(groups["group_2"]["targets"], nlohmann::ordered_json({"x.embed_tokens"})) << "a table is no Linear";
  for (const char* name : {"x.a", "x.c", "x.embed_tokens"})
    EXPECT_EQ(file.stored->read(name).scheme, wide.scheme) << name;
  EXPECT_TRUE(same_bits(file.stored->read("x.b").codes, narrow.codes));
}

// Hand-made: codes -8 ... 7 plus 8, eight a word from the low nibble on.
TEST(CompressedTensorsSpelling, PackedNibblesAreOffsetByEightFromTheLowestBitOn) {
  Weight w{.scheme = *parse_scheme("int4/g8"), .rows = 1, .cols = 8};
  w.codes = Tensor(DType::kI4, Shape{1, 8});
  const uint8_t codes[4] = {0x18, 0x32, 0xf0, 0x7e};  // -8 1, 2 3, 0 -1, -2 7
  std::memcpy(w.codes.raw(), codes, sizeof codes);
  w.scales = cast(random_tensor(Shape{1, 1}, 1), DType::kF16);
  const std::vector<NamedTensor> parts = find_spelling("compressed-tensors")->spell("w", w, "w");
  EXPECT_EQ(parts[0].name, "w.weight_packed");
  EXPECT_EQ(parts[0].tensor.data<uint32_t>()[0], 0xf678ba90u);
  EXPECT_EQ(parts[1].name, "w.weight_shape");
  EXPECT_EQ(parts[1].tensor.data<int64_t>()[0], 1);
  EXPECT_EQ(parts[1].tensor.data<int64_t>()[1], 8);
}

TEST(CompressedTensorsSpelling, TheGlobalScaleOfNvfp4IsADivisor) {
  const Weight w = encode(random_tensor(Shape{4, 32}, 5), *parse_scheme("nvfp4"), "w", nullptr);
  for (const NamedTensor& part : find_spelling("compressed-tensors")->spell("w", w, "w")) {
    if (part.name != "w.weight_global_scale") continue;
    EXPECT_NEAR(*part.tensor.f32() * *w.outer_scales.f32(), 1.0f, 1e-6f);
    EXPECT_EQ(448.0f / *part.tensor.f32(), 448.0f * *w.outer_scales.f32());
  }
}

TEST(PackWords, IsTheInverseOfUnpackingForEveryWidth) {
  for (const char* text : {"i2/g4", "i3/g4", "i4/g4", "i5/g4", "i6/g4", "int8/g4"}) {
    const QuantScheme scheme = *parse_scheme(text);
    const int bits = dtype_info(scheme.codes).bits;
    Weight w{.scheme = scheme, .rows = 3, .cols = 44};
    w.codes = Tensor(scheme.codes, Shape{3, 44});
    const IntRange range = int_range(scheme.codes);
    auto* bytes = w.codes.data<uint8_t>();
    const bool nibbles = dtype_info(scheme.codes).storage_bits == 4;
    const auto code = [&](int64_t i) { return range.low + static_cast<int>(i * 7 % (range.high - range.low + 1)); };
    for (int64_t i = 0; i < w.codes.bytes(); ++i) {
      bytes[i] = nibbles ? static_cast<uint8_t>((code(2 * i) & 0xf) | (code(2 * i + 1) & 0xf) << 4)
                         : static_cast<uint8_t>(code(i));
    }
    const Tensor words = pack_words(w, bits);
    EXPECT_EQ(words.cols(), (44 * bits + 31) / 32);
    EXPECT_TRUE(same_bits(unpack_words(words, WordLayout::kDense, bits, scheme.codes, 44), w.codes)) << text;
  }
}

struct RefusalCase {
  const char *format, *scheme, *words;
};

TEST(Spelling, WhatAFormatDoesNotHoldIsRefusedByName) {
  for (const RefusalCase& c : {RefusalCase{"compressed-tensors", "q4_k", "no format for q4_k"},
                               RefusalCase{"compressed-tensors", "q4_1", "no format for q4_1"},
                               RefusalCase{"compressed-tensors", "nf4", "no format for nf4"},
                               RefusalCase{"compressed-tensors", "int4/g128/ordered", "ordered"},
                               RefusalCase{"fp8", "int8", "no place for int8"},
                               RefusalCase{"fp8", "fp8_per_tensor", "no place for fp8_per_tensor"},
                               RefusalCase{"fp8", "mxfp8", "no place for mxfp8"}}) {
    const QuantScheme scheme = *parse_scheme(c.scheme);
    const std::string refusal = find_spelling(c.format)->refusal(std::span(&scheme, 1));
    EXPECT_NE(refusal.find(c.words), std::string::npos) << c.format << " " << c.scheme << ": '" << refusal << "'";
  }
  const std::vector<QuantScheme> two = {*parse_scheme("fp8"), *parse_scheme("fp8/128x128")};
  EXPECT_NE(find_spelling("fp8")->refusal(two).find("one scheme"), std::string::npos);
  EXPECT_EQ(find_spelling("compressed-tensors")->refusal(two), "");
}

TEST(Spelling, AZeroPointThatIsNoWholeNumberIsRefused) {
  Weight w = encode(random_tensor(Shape{8, 64}, 1), *parse_scheme("int4_g32_asym"), "w", nullptr);
  w.zeros.f32()[3] = 7.5f;
  try {
    (void)find_spelling("compressed-tensors")->spell("w", w, "transformer.w");
    FAIL() << "it was written";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("transformer.w: has a zero point of 7.5"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace omni
