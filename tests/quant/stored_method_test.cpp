#include "quant/stored_method.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace omni {
namespace {

using nlohmann::json;

std::string refusal(const json& spec, const json& metadata, const QuantConfigOptions& options = {}) {
  try {
    (void)build_quant_config(spec, metadata, options);
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::kUsage) << e.what();
    return e.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const json kModelOptFp8 = {{"quant_method", "modelopt"}, {"quant_algo", "FP8"}};
const json kModelOptNvfp4 = {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}};
const json kLegacyNvfp4 = {{"producer", {{"name", "modelopt"}, {"version", "0.29"}}},
                           {"quantization", {{"quant_algo", "NVFP4"}, {"group_size", 16}}}};
const json kCompressedFp8 = {{"quant_method", "compressed-tensors"}, {"format", "float-quantized"}};
const json kCompressedNvfp4 = {{"quant_method", "compressed-tensors"}, {"format", "nvfp4-pack-quantized"}};

TEST(StoredMethod, IsReadFromEverySpellingOfMetadata) {
  const struct {
    json metadata;
    const char *method, *family;
  } rows[] = {
      {"awq", "awq", ""},
      {{{"quant_method", "gptq"}, {"bits", 4}}, "gptq", ""},
      {{{"quant_method", "auto-round"}}, "inc", ""},
      {{{"quant_method", "AUTO_ROUND"}}, "inc", ""},
      {{{"quant_method", "awq_marlin"}}, "awq", ""},
      {{{"quant_method", "compressed_tensors"}}, "compressed-tensors", ""},
      {kCompressedFp8, "compressed-tensors", "fp8"},
      {kCompressedNvfp4, "compressed-tensors", "nvfp4"},
      {{{"quant_method", "fp8"}}, "fp8", "fp8"},
      {{{"quant_method", "fbgemm_fp8"}}, "fp8", "fp8"},
      {kModelOptFp8, "modelopt", "fp8"},
      {{{"quant_method", "modelopt"}, {"quant_algo", "fp8-per-channel-per-token"}}, "modelopt", "fp8"},
      {kModelOptNvfp4, "modelopt_fp4", "nvfp4"},
      {{{"quant_method", "modelopt"}, {"quant_algo", "MIXED_PRECISION"}}, "modelopt_mixed", ""},
      {{{"quant_algo", "MXFP8"}}, "modelopt_mxfp8", "mxfp8"},
      {kLegacyNvfp4, "modelopt_fp4", "nvfp4"},
  };
  for (const auto& row : rows) {
    const std::optional<StoredMethod> stored = read_stored_method(row.metadata, "config.json");
    ASSERT_TRUE(stored) << row.metadata;
    EXPECT_EQ(stored->method, row.method) << row.metadata;
    EXPECT_EQ(stored->family, row.family) << row.metadata;
  }
  EXPECT_FALSE(read_stored_method(nullptr, "x"));
  EXPECT_FALSE(read_stored_method({{"comment", "nothing of use"}}, "x")) << "a mapping without a method is none";
}

TEST(StoredMethod, NothingAskedIsAsStoredWhateverTheMetadata) {
  for (const json& metadata : {json(nullptr), json("awq"), kModelOptNvfp4, json{{"comment", 1}}}) {
    EXPECT_FALSE(build_quant_config(nullptr, metadata, {}).asked()) << metadata;
  }
}

TEST(StoredMethod, AWishAgreesWithTheCheckpointOrIsAConflictNamingBoth) {
  const struct {
    json wish, metadata;
    bool agrees;
  } rows[] = {
      {"fp8", {{"quant_method", "fp8"}}, true},
      {"fp8", kModelOptFp8, true},
      {"fp8", kCompressedFp8, true},
      {"fp8", kModelOptNvfp4, false},
      {"fp8", kLegacyNvfp4, false},
      {"fp8", {{"quant_method", "awq"}}, false},
      {"fp4", kModelOptNvfp4, true},
      {"nvfp4", kLegacyNvfp4, true},
      {"nvfp4", kCompressedNvfp4, true},
      {"modelopt_fp4", kModelOptNvfp4, true},
      {"modelopt_fp4", kCompressedNvfp4, false},
      {"modelopt", kModelOptFp8, true},
      {"modelopt_fp8", kModelOptFp8, true},
      {"modelopt", kModelOptNvfp4, false},
      {"modelopt_mixed", {{"quant_algo", "MIXED_PRECISION"}}, true},
      {"auto-round", {{"quant_method", "inc"}}, true},
      {"inc", {{"quant_method", "auto_round"}}, true},
      {"awq_marlin", "awq", true},
      {"gptq", "gptq_marlin", true},
      {"gptq", "awq", false},
      {"compressed_tensors", kCompressedFp8, true},
      {"int8", kCompressedFp8, false},
      {"bitsandbytes", {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}}, true},
      {"int4/g128", "gptq", false},
      {"none", "awq", false},
      {"bf16", kModelOptFp8, false},
      {{{"method", "none"}, {"dequantize", true}}, "awq", true},
      {{{"method", "fp8"}, {"requantize", true}}, "awq", true},
      {{{"method", "gptq"}, {"requantize", true}}, "awq", false},
      {{{"method", "fp8"}, {"activation_scheme", "static"}}, kModelOptFp8, true},
      {{{"method", "awq"}, {"bits", 8}}, {{"quant_method", "awq"}, {"bits", 4}}, false},
      {{{"quant_method", "gptq"}, {"group_size", 128}}, {{"quant_method", "gptq"}, {"group_size", 64}}, false},
      {{{"method", "gptq"}, {"group_size", 64}}, {{"quant_method", "gptq"}, {"group_size", 64}}, true},
  };
  for (const auto& row : rows) {
    const std::string text = refusal(row.wish, row.metadata);
    EXPECT_EQ(text.empty(), row.agrees) << row.wish << " against " << row.metadata << ": " << text;
    if (row.agrees || !row.wish.is_string()) continue;
    EXPECT_TRUE(has(text, "'" + row.wish.get<std::string>() + "'") && has(text, "stored by")) << text;
    EXPECT_TRUE(has(text, "no quantization flag")) << text;
  }
}

TEST(StoredMethod, AMethodThatReadsOnlyItsOwnIsRefusedOnAFloatCheckpointSayingWhatToUse) {
  const struct {
    const char *wish, *instead;
  } rows[] = {{"awq", "int4/g128"},      {"gptq", "int4/g128"}, {"inc", "int4/g128"}, {"svdquant", "nvfp4"},
              {"modelopt_fp4", "nvfp4"}, {"modelopt", "fp8"},   {"torchao", "int8"},  {"compressed-tensors", "fp8"},
              {"int8_convrot", "int8"},  {"gguf", "gguf:TYPE"}};
  for (const auto& row : rows) {
    const std::string text = refusal(row.wish, nullptr);
    EXPECT_TRUE(has(text, std::string("'") + row.wish + "'") && has(text, row.instead)) << row.wish << ": " << text;
  }
  EXPECT_TRUE(has(refusal({{"method", "fp8"}, {"activation_scheme", "static"}}, nullptr), "fp8 without the keys"));
  EXPECT_EQ(refusal("bitsandbytes", nullptr), "") << "rounds online as well";
  EXPECT_EQ(refusal({{"method", "gguf"}, {"gguf_model", "x.gguf"}}, nullptr), "") << "brings its own weights";
}

TEST(StoredMethod, MetadataOfOneComponentSpeaksForNoOther) {
  const QuantConfigOptions transformer{{}, {}, "transformer"}, encoder{{}, {}, "text_encoder"};
  const json map = {{"transformer", "awq"}, {"text_encoder", "fp8"}};
  EXPECT_EQ(refusal(map, "awq", transformer), "");
  EXPECT_NE(refusal(map, "awq", encoder), "");
  EXPECT_EQ(refusal("fp8", "awq", encoder), "") << "a plain name does not reach an encoder";
  EXPECT_NE(refusal("none", "awq", encoder), "") << "float is asked of every component";
}

TEST(StoredMethod, MetadataThatSaysNothingSoundIsRefused) {
  const struct {
    json metadata;
    const char* part;
  } rows[] = {
      {json::array({1}), "[1]"},
      {7, "7"},
      {{{"quant_method", "superquant"}}, "'superquant'"},
      {{{"quant_method", 3}}, "3"},
      {{{"quant_method", "modelopt"}, {"quant_algo", "FP3"}}, "FP3"},
      {{{"producer", {{"name", "modelopt"}}}, {"quantization", {{"quant_algo", "W2"}}}}, "W2"},
  };
  for (const auto& row : rows) EXPECT_TRUE(has(refusal(nullptr, row.metadata), row.part)) << row.metadata;
}

}  // namespace
}  // namespace omni
