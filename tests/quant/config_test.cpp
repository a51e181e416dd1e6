#include "quant/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "quant/method_parameters.h"

namespace omni {
namespace {

using nlohmann::json;
using Kind = QuantRule::Kind;

std::string refusal(const json& spec, const QuantConfigOptions& options = {}) {
  try {
    (void)build_quant_config(spec, options);
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::kUsage) << e.what();
    return e.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
QuantScheme scheme(const std::string& text) {
  return parse_scheme(text).value();
}
const QuantRule& only(const QuantConfig& config) {
  EXPECT_EQ(config.rules.size(), 1u);
  return config.rules.at(0);
}
QuantRule find(const QuantConfig& config, const std::string& path) {
  for (const QuantRule& rule : config.rules) {
    if (rule.path == path) return rule;
  }
  ADD_FAILURE() << "no rule " << path << " in " << config.normal_form().dump();
  return {};
}

TEST(QuantConfig, NothingAskedIsNoRule) {
  EXPECT_FALSE(build_quant_config(nullptr).asked());
  EXPECT_FALSE(parse_quant_config("null").asked());
}

TEST(QuantConfig, ANameOrASchemeTextIsOneRuleForTheDefaultScope) {
  const struct {
    const char *written, *scheme;
  } rows[] = {
      {"fp8", "fp8"},
      {"FP8", "fp8"},
      {"fp8-per-tensor", "fp8_per_tensor"},
      {"int8", "int8"},
      {"w4a16", "int4"},
      {"nvfp4", "nvfp4"},
      {"fp4", "nvfp4"},
      {"gguf:q4_k", "q4_k"},
      {"GGUF:Q4-K", "q4_k"},
      {"bitsandbytes", "nf4"},
      {"int4/g128/asym", "int4/g128/asym"},
      {"fp8/channel/per-token", "fp8"},
  };
  for (const auto& row : rows) {
    for (const json& spec : {json(row.written), json{{"method", row.written}}, json{{"quant_method", row.written}}}) {
      const QuantRule rule = only(build_quant_config(spec));
      EXPECT_EQ(rule.path, "") << spec;
      EXPECT_EQ(rule.kind, Kind::kScheme) << spec;
      EXPECT_EQ(rule.scheme, scheme(row.scheme)) << spec << " became " << rule.scheme.text();
      EXPECT_EQ(rule.source, row.written);
    }
  }
  EXPECT_EQ(only(build_quant_config("none")).kind, Kind::kFloat);
  EXPECT_EQ(only(build_quant_config("bf16")).kind, Kind::kFloat);
}

TEST(QuantConfig, CommandLineTextIsJsonOrAName) {
  EXPECT_EQ(only(parse_quant_config(" fp8\n")).source, "fp8");
  EXPECT_EQ(only(parse_quant_config("\"fp8\"")).source, "fp8");
  EXPECT_EQ(only(parse_quant_config("{\"method\": \"int8\"}")).source, "int8");
  for (const char* text : {"", "  ", "{", "[\"fp8\"]", "{\"method\": \"fp8\", \"method\": \"int8\"}"}) {
    try {
      (void)parse_quant_config(text);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::kUsage) << e.what();
    }
  }
}

TEST(QuantConfig, WhatIsNoSpecIsRefusedNamingKeyValueAndWhatIsAccepted) {
  const struct {
    json spec;
    std::vector<std::string> parts;
  } rows[] = {
      {json::object(), {"{}", "method"}},
      {7, {"7"}},
      {true, {"true"}},
      {json::array({"fp8"}), {"[\"fp8\"]"}},
      {"", {"\"\""}},
      {{{"method", 8}}, {"method", "8"}},
      {{{"method", nullptr}}, {"method", "null"}},
      {"fp_8", {"fp_8", "did you mean fp8?"}},
      {"zzzzzzzzzz", {"zzzzzzzzzz", "int8", "nvfp4"}},
      {"w8a8", {"int8 or fp8"}},
      {"q4_k_m", {"recipe", "q4_k"}},
      {"gguf:Q4_K_M", {"recipe", "q4_k"}},
      {"gguf:int8", {"int8", "q4_k"}},
      {"fp8/channel/static", {"static", "calibrated"}},
      {{{"method", "fp8"}, {"ignoredlayers", {"a"}}}, {"ignoredlayers", "did you mean ignored_layers?", "[\"a\"]"}},
      {{{"method", "fp8"}, {"activation_scheme", "sometimes"}}, {"sometimes", "dynamic"}},
      {{{"method", "int4"}, {"activation_scheme", "dynamic"}}, {"activation_scheme", "group_size"}},
      {{{"method", "fp8"}, {"weight_block_size", {0, 128}}}, {"weight_block_size", "[0,128]", "two sizes"}},
      {{{"method", "fp8"}, {"weight_block_size", 128}}, {"weight_block_size", "128", "two sizes"}},
      {{{"method", "int8"}, {"activation_scheme", "static"}}, {"activation_scheme", "static", "dynamic"}},
      {{{"method", "fp8"}, {"is_checkpoint_fp8_serialized", "yes"}}, {"is_checkpoint_fp8_serialized", "true or false"}},
      {{{"method", "mxfp4"}, {"w4a8_fallback_steps", {0, 1}}}, {"w4a8_fallback_steps", "[0,1]", "no such key"}},
      {{{"method", "gguf"}, {"gguf_model", 3}}, {"gguf_model", "3"}},
      {{{"method", "gguf"}, {"gguf_model", "a"}, {"type", "q4_k"}}, {"type", "gguf_model", "one of the two"}},
      {{{"method", "modelopt"}, {"quant_algo", "FP5"}}, {"quant_algo", "FP5", "NVFP4", "MIXED_PRECISION"}},
      {{{"quant_algo", 4}}, {"quant_algo", "4"}},
      {"hqq", {"'hqq'", "known", "int4/g64/asym"}},
      {"aqlm", {"'aqlm'", "int4/g128"}},
      {{{"method", "fp8"}, {"ignored_layers", 3}}, {"ignored_layers", "3"}},
      {{{"method", "fp8"}, {"ignored_layers", {"a"}}, {"ignore", {"a"}}}, {"ignored_layers", "ignore"}},
      {{{"method", "fp8"}, {"ignored_layers", {"re:("}}}, {"regular expression"}},
      {{{"method", "fp8"}, {"ignored_layers", {"a..b"}}}, {"empty segment"}},
      {{{"method", "int4"}, {"bits", 3}}, {"bits", "3"}},
      {{{"method", "int4"}, {"group_size", 100}}, {"group_size", "100"}},
      {{{"method", "fp8"}, {"quant_method", "int8"}}, {"'fp8'", "'int8'"}},
      {{{"method", "bitsandbytes"}, {"quant_type", "nf5"}}, {"quant_type", "nf4"}},
      {{{"activation_scheme", "static"}}, {"activation_scheme", "method"}},
      {{{"transformer", "fp9"}}, {"transformer", "fp9", "did you mean fp"}},
      {{{"transformer", 8}}, {"transformer", "8"}},
      {{{"transformer", json::object()}}, {"transformer", "{}"}},
      {{{"transfo*", "fp8"}}, {"wildcard inside a name"}},
      {{{"rules", "fp8"}}, {"rules"}},
      {{{"rules", json::array()}, {"transformer", "fp8"}}, {"transformer", "requantize"}},
      {{{"rules", {{{"path", "a"}}}}}, {"rules[0]"}},
      {{{"requantize", true}}, {"requantize"}},
      {{{"method", "fp8"}, {"requantize", "yes"}}, {"requantize", "yes"}},
  };
  for (const auto& row : rows) {
    const std::string text = refusal(row.spec);
    EXPECT_FALSE(text.empty()) << row.spec << " was accepted";
    for (const std::string& part : row.parts) EXPECT_TRUE(has(text, part)) << row.spec << " gave: " << text;
  }
}

TEST(QuantConfig, UnknownMetadataKeysAreKeptAndReported) {
  const QuantConfig config = build_quant_config({{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"ignore", {"lm_head"}}});
  ASSERT_EQ(config.notes.size(), 1u);
  EXPECT_TRUE(has(config.notes[0], "fmt = \"e4m3\""));
  EXPECT_EQ(config.rules.at(1).kind, Kind::kIgnore);
}

TEST(QuantConfig, BothMethodKeysAreFineWhenTheyMeanTheSame) {
  EXPECT_EQ(build_quant_config({{"method", "FP8"}, {"quant_method", "fp8"}}).rules.size(), 1u);
  EXPECT_EQ(only(build_quant_config({{"method", "auto-round"}, {"quant_method", "inc"}})).method, "inc");
}

TEST(QuantConfig, AStringsOnlyComponentMapIsAccepted) {  // the reference system refuses it
  const QuantConfig config = build_quant_config({{"transformer", "fp8"}, {"vae", "int8"}});
  ASSERT_EQ(config.rules.size(), 2u);
  EXPECT_EQ(find(config, "transformer").scheme, scheme("fp8"));
  EXPECT_EQ(find(config, "vae").scheme, scheme("int8"));
  EXPECT_TRUE(find(config, "vae").is_component);
}

TEST(QuantConfig, AComponentMapTellsNullMissingAndDefaultApart) {
  const QuantConfig config =
      build_quant_config({{"transformer", "fp8"},
                          {"text_encoder", {{"method", "int8"}, {"ignored_layers", {"wo", "encoder.block.0"}}}},
                          {"vae", nullptr},
                          {"default", "none"}});
  EXPECT_EQ(find(config, "vae").kind, Kind::kKeep);
  EXPECT_EQ(find(config, "**").kind, Kind::kFloat);
  EXPECT_EQ(find(config, "text_encoder").scheme, scheme("int8"));
  EXPECT_EQ(find(config, "text_encoder.**.wo").kind, Kind::kIgnore) << "an ignored name stays in its component";
  EXPECT_EQ(find(config, "text_encoder.encoder.block.0").kind, Kind::kIgnore);
}

TEST(QuantConfig, NestedMapsJoinWithDots) {
  const QuantConfig config =
      build_quant_config({{"thinker", {{"model", "fp8"}, {"visual", nullptr}, {"default", "int8"}}}});
  EXPECT_EQ(find(config, "thinker.model").scheme, scheme("fp8"));
  EXPECT_EQ(find(config, "thinker.visual").kind, Kind::kKeep);
  EXPECT_EQ(find(config, "thinker").scheme, scheme("int8"));
}

TEST(QuantConfig, AComponentThatThePipelineLacksIsRefusedListingThem) {
  const QuantConfigOptions options{{"text_encoder", "transformer", "vae"}, {}};
  const std::string text = refusal({{"transfromer", "fp8"}}, options);
  EXPECT_TRUE(has(text, "did you mean transformer?") && has(text, "text_encoder, transformer, vae")) << text;
  EXPECT_EQ(refusal({{"transformer.blocks", "fp8"}, {"default", "none"}}, options), "");
}

TEST(QuantConfig, MethodParametersReachTheScheme) {
  const struct {
    json spec;
    const char* scheme;
  } rows[] = {
      {{{"method", "int4"}, {"group_size", 64}}, "int4/g64"},
      {{{"method", "w4a16"}, {"sym", false}, {"bits", 4}}, "int4/g128/asym"},
      {{{"method", "int4"}, {"group_size", -1}}, "int4/channel"},
      {{{"method", "bitsandbytes"}, {"quant_type", "NF4"}}, "nf4"},
      {{{"method", "bitsandbytes"}, {"quant_type", "fp4"}}, "fp4bnb/g64/f32"},
      {{{"method", "bitsandbytes"}, {"quant_type", "int8"}}, "int8"},
      {{{"method", "gguf"}, {"type", "Q6_K"}}, "q6_k"},
      {{{"method", "fp8"}, {"activation_scheme", "dynamic"}}, "fp8"},
  };
  for (const auto& row : rows) EXPECT_EQ(only(build_quant_config(row.spec)).scheme, scheme(row.scheme)) << row.spec;
}

TEST(QuantConfig, EveryMethodNameIsAcceptedOrAnsweredByName) {
  for (const MethodName& method : method_names()) {
    std::vector<std::string> names = {std::string(method.name)};
    for (const std::string_view alias : method_aliases(method.name)) names.emplace_back(alias);
    for (const std::string& name : names) {
      if (method.use == MethodUse::kAbsent) {
        const std::string text = refusal(name);
        EXPECT_TRUE(has(text, std::string(method.text)) && has(text, "'" + name + "'")) << name << ": " << text;
        continue;
      }
      const QuantRule rule = only(build_quant_config(name));
      EXPECT_EQ(rule.kind, method.use == MethodUse::kStored ? Kind::kStored : Kind::kScheme) << name;
      EXPECT_EQ(rule.method, method.name) << name;
      EXPECT_EQ(rule.source, name);
    }
  }
}

TEST(QuantConfig, MethodsOfTheTablesAreSorted) {
  const std::span<const MethodName> methods = method_names();
  for (size_t i = 1; i < methods.size(); ++i) EXPECT_LT(methods[i - 1].name, methods[i].name);
  const std::span<const MethodParameter> keys = method_parameters();
  for (size_t i = 1; i < keys.size(); ++i) {
    EXPECT_LT(std::pair(keys[i - 1].method, keys[i - 1].key), std::pair(keys[i].method, keys[i].key));
    EXPECT_TRUE(find_method(keys[i].method) != nullptr || find_preset(keys[i].method) != nullptr) << keys[i].method;
  }
}

TEST(QuantConfig, WhatOnlyAStoredCheckpointHasAsksForOne) {
  const json specs[] = {
      {{"method", "fp8"}, {"activation_scheme", "static"}},
      {{"quant_method", "fp8"}, {"activation_scheme", "static"}},
      {{"method", "fp8"}, {"weight_block_size", {128, 128}}},
      {{"method", "fp8"}, {"is_checkpoint_fp8_serialized", true}},
      {{"method", "int8"}, {"is_checkpoint_int8_serialized", true}},
      {{"method", "mxfp8"}, {"is_checkpoint_mxfp8_serialized", true}},
  };
  for (const json& spec : specs) EXPECT_EQ(only(build_quant_config(spec)).kind, Kind::kStored) << spec;
  EXPECT_EQ(only(build_quant_config({{"method", "fp8"}, {"is_checkpoint_fp8_serialized", false}})).kind, Kind::kScheme);
}

TEST(QuantConfig, KeysThatDescribeStoredWeightsAreNoted) {
  const json specs[] = {
      {{"method", "awq"}, {"bits", 4}},
      {{"method", "auto-round"}, {"packing_format", "auto_round:auto_gptq"}},
      {{"method", "gptq_marlin"}, {"desc_act", true}},
      {{"method", "svdquant"}, {"rank", 32}},
      {{"method", "torchao"}, {"quant_type", {{"default", 1}}}},
  };
  for (const json& spec : specs) {
    const QuantConfig config = build_quant_config(spec);
    ASSERT_EQ(config.notes.size(), 1u) << spec;
    EXPECT_TRUE(has(config.notes[0], "the checkpoint decides")) << config.notes[0];
  }
}

TEST(QuantConfig, AGgufModelIsKept) {
  const QuantConfig config = build_quant_config({{"method", "gguf"}, {"gguf_model", "owner/repo:Q4_K_M"}});
  EXPECT_EQ(config.gguf_model, "owner/repo:Q4_K_M");
  EXPECT_EQ(only(config).kind, Kind::kStored);
  EXPECT_EQ(build_quant_config(config.normal_form()).gguf_model, "owner/repo:Q4_K_M");
}

TEST(QuantConfig, IgnoredLayersHaveFourSpellingsAndAFlag) {
  for (const char* key : {"ignored_layers", "modules_to_not_convert", "ignore", "exclude_modules"}) {
    const QuantConfig config = build_quant_config({{"method", "fp8"}, {key, {"img_mlp", "img_mlp", "to_out"}}});
    ASSERT_EQ(config.rules.size(), 3u) << key;
    EXPECT_EQ(config.rules[1].kind, Kind::kIgnore);
    EXPECT_EQ(config.rules[1].path, "img_mlp");
    EXPECT_EQ(config.rules[1].source, "ignored_layers: img_mlp");
  }
  const QuantConfig flag = build_quant_config("fp8", {{}, {"img_mlp"}});
  EXPECT_EQ(flag.rules.at(1).kind, Kind::kIgnore);
}

TEST(QuantConfig, TheCallersObjectIsNeverChanged) {
  const json specs[] = {{{"method", "fp8"}, {"ignored_layers", {"b", "a"}}},
                        {{"transformer", {{"method", "int8"}}}, {"vae", nullptr}, {"requantize", true}}};
  for (const json& spec : specs) {
    const json before = spec;
    (void)build_quant_config(spec);
    EXPECT_EQ(spec, before);
  }
}

TEST(QuantConfig, TheNormalFormReadsBackEqual) {
  const json specs[] = {
      nullptr,
      "fp8",
      "none",
      "int4/g64/asym",
      {{"method", "fp8"}, {"ignored_layers", {"img_mlp", "re:.*to_q"}}, {"requantize", true}},
      {{"quant_method", "int8"}, {"strange", {1, 2}}},
      {{"transformer", "fp8"}, {"vae", nullptr}, {"default", "none"}, {"dequantize", true}},
      {{"text_encoder", {{"method", "int8"}, {"ignore", {"re:a.*", "wo"}}}}},
      "awq",
      "fp8_per_channel",
      "fp8/channel/per-token",
      {{"method", "fp8"}, {"activation_scheme", "static"}},
      {{"transformer", "auto-round"}, {"vae", "none"}},
      {{"method", "gguf"}, {"gguf_model", "a/b:Q4_0"}, {"unquantized_modules", {"img_in"}}},
      {{"rules", {{{"path", "transformer.*.to_q"}, {"scheme", "q4_k"}}, {{"path", "x"}, {"scheme", nullptr}}}}},
  };
  for (const json& spec : specs) {
    const json once = build_quant_config(spec).normal_form();
    EXPECT_EQ(build_quant_config(once).normal_form(), once) << spec;
    EXPECT_EQ(parse_quant_config(once.dump()).normal_form(), once) << spec;
  }
}

TEST(Patterns, MatchWholeSegmentsFromTheComponentOn) {
  const std::vector<std::string> components = {"transformer", "transformer_2"};
  const std::string path = "transformer.transformer_blocks.3.attn.to_q";
  const struct {
    const char *pattern, *path;
    bool matches;
  } rows[] = {
      {"transformer", path.c_str(), true},
      {"transformer", "transformer_2.blocks.0", false},  // the reference system's prefix is not cut at dots
      {"transformer_2", path.c_str(), false},
      {"transformer.transformer_blocks", path.c_str(), true},
      {"transformer.transformer_block", path.c_str(), false},
      {"transformer.transformer_blocks.3", path.c_str(), true},
      {"transformer.transformer_blocks.30", path.c_str(), false},
      {"transformer.transformer_blocks.*.attn", path.c_str(), true},
      {"transformer.*.attn", path.c_str(), false},
      {"transformer.**.attn", path.c_str(), true},
      {"transformer.**.to_q", path.c_str(), true},
      {"**.to_q", path.c_str(), true},
      {"**.to", path.c_str(), false},
      {"*.transformer_blocks", path.c_str(), true},
      {"**", path.c_str(), true},
      {"attn", path.c_str(), true},
      {"to_q", path.c_str(), true},
      {"att", path.c_str(), false},
      {"attn.to_q", path.c_str(), false},
      {"transformer.transformer_blocks.3.attn.to_q.weight", path.c_str(), false},
      {"re:.*\\.to_[qk]", path.c_str(), true},
      {"re:transformer", path.c_str(), true},
      {"re:transformer", "transformer_2.x", false},
      {"re:to_q", path.c_str(), false},
      {"weird[", path.c_str(), false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(pattern_matches(row.pattern, row.path, components), row.matches) << row.pattern << " on " << row.path;
  }
}

TEST(ClosestName, IsNearByEditDistanceOrNothing) {
  EXPECT_EQ(closest_name("fp_8", {"int8", "fp8"}), "fp8");
  EXPECT_EQ(closest_name("Transfromer", {"vae", "transformer"}), "transformer");
  EXPECT_EQ(closest_name("banana", {"vae", "transformer"}), "");
  EXPECT_EQ(closest_name("x", {}), "");
}

}  // namespace
}  // namespace omni
