// The faults that users of the reference system reported at the level of config and plan, one test a number. Those of
// checkpoints (21-28, 32, 36, 38-40) are in tests/checkpoint/reported_bugs_test.cpp.
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "quant/method.h"
#include "quant/plan.h"
#include "quant/stored_method.h"

namespace omni {
namespace {

using nlohmann::json;
using Kind = QuantRule::Kind;

const PipelineScope kDiffusion =
    pipeline_scope(PipelineKind::kDiffusion, {"text_encoder", "text_encoder_2", "transformer", "transformer_2", "vae"});
const PipelineScope kOmni = pipeline_scope(PipelineKind::kOmni, {"thinker", "talker", "code2wav"});
const std::string kQ = "transformer.blocks.3.attn.to_q";

QuantPlan plan(const json& spec, const PipelineScope& scope = kDiffusion) {
  return QuantPlan(build_quant_config(spec), scope);
}
std::string becomes(QuantPlan& plan, const std::string& path, Role role = Role::kOrdinary,
                    std::vector<std::string> aliases = {}) {
  return plan.target(path, {}, role, aliases).target.text();
}
Stored stored(const std::string& scheme, const std::string& method) {
  return {parse_scheme(scheme).value(), method};
}
std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.fault(), Fault::kUsage) << e.what();
    return e.what();
  }
  return "";
}
std::string config_refusal(const json& spec) {
  return refusal([&] { (void)build_quant_config(spec); });
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ReportedBugs, Bug01_AMapOfStringsAloneIsAComponentMap) {
  QuantPlan p = plan({{"transformer", "fp8"}, {"vae", "fp8"}});
  EXPECT_EQ(becomes(p, kQ), "fp8");
  EXPECT_EQ(becomes(p, "vae.decoder.to_q"), "fp8");
  EXPECT_EQ(becomes(p, "text_encoder.layers.0.fc1"), "float");
  EXPECT_NE(config_refusal({{"activation_scheme", "static"}}), "") << "a flat dict of parameters is no map";
}

TEST(ReportedBugs, Bug02_PrefixIsCutAtDots) {
  QuantPlan p = plan({{"transformer", "fp8"}, {"text_encoder", "int8"}});
  EXPECT_EQ(becomes(p, "transformer_2.blocks.0.attn.to_q"), "float");
  EXPECT_EQ(becomes(p, "text_encoder_2.block.0.wo"), "float");
  EXPECT_EQ(becomes(p, kQ), "fp8");
}

TEST(ReportedBugs, Bug03_MethodAndQuantMethodBothNeitherOrNoString) {
  EXPECT_EQ(config_refusal({{"method", "fp8"}}), "");
  EXPECT_EQ(config_refusal({{"quant_method", "fp8"}}), "");
  EXPECT_EQ(config_refusal({{"method", "fp8"}, {"quant_method", "FP8"}}), "");
  EXPECT_TRUE(has(config_refusal({{"method", "fp8"}, {"quant_method", "int8"}}), "differ"));
  EXPECT_TRUE(has(config_refusal({{"ignored_layers", {"a"}}}), "method"));
  for (const json& value : {json(nullptr), json(8), json(true), json::array({"fp8"}), json::object()}) {
    EXPECT_TRUE(has(config_refusal({{"method", value}}), value.dump())) << value;
    EXPECT_TRUE(has(config_refusal({{"quant_method", value}}), value.dump())) << value;
  }
}

TEST(ReportedBugs, Bug04_AnEmptyDictIsAnErrorAndNullIsNot) {
  EXPECT_TRUE(has(config_refusal(json::object()), "{}"));
  EXPECT_TRUE(has(config_refusal({{"transformer", json::object()}}), "transformer"));
  EXPECT_EQ(config_refusal(nullptr), "");
}

TEST(ReportedBugs, Bug05_NoneAgainstAQuantizedCheckpointIsAConflict) {
  for (const char* wish : {"none", "bf16", "NONE"}) {
    EXPECT_TRUE(has(refusal([&] {
                      (void)build_quant_config(wish, {{"quant_method", "awq"}}, {});
                    }),
                    "dequantize: true"));
    QuantPlan p = plan(wish);
    EXPECT_TRUE(has(refusal([&] { (void)p.target(kQ, stored("int4", "gptq"), Role::kOrdinary); }), "gptq"));
  }
  QuantPlan p = plan({{"method", "none"}, {"dequantize", true}});
  EXPECT_EQ(p.target(kQ, stored("int4", "gptq"), Role::kOrdinary).action, Action::kDequantize);
}

TEST(ReportedBugs, Bug06_AnExplicitMethodAgreesWithTheStoredOneOrAFamilyOrIsAConflict) {
  const struct {
    const char *wish, *scheme, *method;
    bool agrees;
  } rows[] = {
      {"fp8", "fp8/tensor/static", "modelopt", true},
      {"fp8", "fp8/tensor/static", "compressed-tensors", true},
      {"fp8", "fp8/128x128", "fp8", true},
      {"fp8", "fp8/channel/bf16/per-token", "compressed-tensors", true},
      {"fp8", "nvfp4", "modelopt", false},
      {"fp8", "mxfp8", "modelopt", false},
      {"fp4", "nvfp4", "modelopt", true},
      {"nvfp4", "nvfp4", "compressed-tensors", true},
      {"nvfp4", "fp4/g16/f32", "compressed-tensors", true},
      {"nvfp4", "fp4/g32/f8e8m0", "compressed-tensors", false},
      {"modelopt_fp4", "nvfp4", "modelopt", true},
      {"modelopt_fp4", "nvfp4", "modelopt_fp4", true},
      {"modelopt_fp4", "fp8/tensor", "modelopt", false},
      {"modelopt", "fp8/tensor", "modelopt", true},
      {"modelopt", "nvfp4", "modelopt", false},
      {"modelopt_mixed", "nvfp4", "modelopt", true},
      {"modelopt_mixed", "fp8/tensor", "modelopt_mixed", true},
      {"awq", "int4/g128/asym", "awq", true},
      {"awq_marlin", "int4/g128/asym", "awq", true},
      {"awq", "int4/g128", "gptq", false},
      {"gptq", "int4/g128/ordered", "gptq", true},
      {"auto-round", "int4/g128", "inc", true},
      {"auto-round", "int4/g128", "auto-round", true},
      {"compressed-tensors", "int8", "compressed-tensors", true},
      {"int8", "int8/channel/bf16/per-token", "compressed-tensors", true},
      {"int8", "fp8/tensor", "modelopt", false},
      {"bitsandbytes", "nf4", "bitsandbytes", true},
      {"bitsandbytes", "fp4bnb/g64", "bitsandbytes", true},
      {"bitsandbytes", "int4/g128", "gptq", false},
      {"torchao", "int8_weight_only", "torchao", true},
      {"torchao_float8_weight_only", "fp8/channel", "torchao", true},
      {"svdquant", "fp4/g16/f8e4m3/outer:f32:tensor/rank32/smooth", "svdquant", true},
      {"svdquant", "nvfp4", "modelopt", false},
      {"int8_convrot", "int8/channel/per-token/rot256", "int8_convrot", true},
      {"gguf", "q4_k", "gguf", true},
      {"gguf", "nf4", "bitsandbytes", false},
      {"mxfp4", "mxfp4", "inc", true},
      {"mxfp8", "fp8/g32/f8e8m0/per-group", "modelopt", true},
      {"fp8_per_tensor", "fp8/tensor/static", "modelopt", true},
      {"fp8_per_tensor", "fp8/128x128", "fp8", false},
      {"fp8_per_block", "fp8/128x128/per-group", "fp8", true},
  };
  for (const auto& row : rows) {
    ASSERT_TRUE(parse_scheme(row.scheme)) << row.scheme;
    QuantPlan p = plan(row.wish);
    Decision decision;
    const std::string text = refusal([&] { decision = p.target(kQ, stored(row.scheme, row.method), Role::kOrdinary); });
    EXPECT_EQ(text.empty(), row.agrees) << row.wish << " on " << row.scheme << " by " << row.method << ": " << text;
    if (row.agrees) {
      EXPECT_EQ(decision.action, Action::kKeep) << row.wish;
      EXPECT_EQ(decision.target, parse_scheme(row.scheme)) << row.wish;
      EXPECT_EQ(refusal([&] { p.require_all_matched(false); }), "") << row.wish;
    } else {
      EXPECT_TRUE(has(text, row.wish) && has(text, row.method) && has(text, "no quantization flag")) << text;
    }
  }
}

TEST(ReportedBugs, Bug07_AliasesFoldOnBothSides) {
  for (const char* wish : {"auto-round", "auto_round", "Auto-Round", "inc"}) {
    for (const char* written : {"auto-round", "auto_round", "inc"}) {
      EXPECT_EQ(refusal([&] { (void)build_quant_config(wish, {{"quant_method", written}}, {}); }), "");
      QuantPlan p = plan(wish);
      EXPECT_EQ(p.target(kQ, stored("int4/g128", written), Role::kOrdinary).action, Action::kKeep);
      EXPECT_EQ(config_refusal({{"method", wish}, {"quant_method", written}}), "");
    }
  }
}

TEST(ReportedBugs, Bug08_HyphensUnderscoresAndCaseDoNotMatter) {
  const std::vector<std::pair<std::string, std::string>> pairs = {{"FP8", "fp8"},
                                                                  {"fp8-per-channel", "fp8_per_channel"},
                                                                  {"Compressed_Tensors", "compressed-tensors"},
                                                                  {"NVFP4", "nvfp4"},
                                                                  {"AWQ-Marlin", "awq"},
                                                                  {"GPTQ_marlin", "gptq"},
                                                                  {"ModelOpt-FP4", "modelopt_fp4"},
                                                                  {"ModelOpt_FP8", "modelopt"},
                                                                  {"INT8-ConvRot", "int8_convrot"}};
  for (const auto& [written, name] : pairs) {
    EXPECT_EQ(build_quant_config(written).rules.at(0).method, name) << written;
    EXPECT_EQ(build_quant_config(json{{"method", written}}).rules.at(0).source, written) << "as the user wrote it";
  }
  EXPECT_TRUE(has(config_refusal("fp_8"), "did you mean fp8?"));
}

TEST(ReportedBugs, Bug09_UnknownKeysAreErrorsForAUserAndNotesForACheckpoint) {
  const std::string text = config_refusal({{"method", "fp8"}, {"activation_schema", "dynamic"}});
  EXPECT_TRUE(has(text, "activation_schema") && has(text, "did you mean activation_scheme?")) << text;
  const QuantConfig config = build_quant_config({{"quant_method", "fp8"}, {"fmt", "e4m3"}, {"version", 2}});
  EXPECT_EQ(config.notes.size(), 2u);
  EXPECT_NE(config_refusal({{"method", "fp8"}, {"quant_method", "fp8"}, {"fmt", "e4m3"}}), "")
      << "method is the user's";
}

TEST(ReportedBugs, Bug10_TheCallersObjectIsNotChanged) {
  const json spec = {{"transformer", {{"method", "fp8"}, {"ignored_layers", {"b", "a", "a"}}}}, {"vae", nullptr}};
  const json metadata = {{"quant_method", "modelopt"}, {"quant_algo", "FP8"}, {"ignore", {"lm_head"}}};
  const json spec_before = spec, metadata_before = metadata;
  (void)build_quant_config(spec, metadata, {});
  EXPECT_EQ(spec, spec_before);
  EXPECT_EQ(metadata, metadata_before);
}

TEST(ReportedBugs, Bug11_PatternsHaveAnOrderAndMalformedOnesAreNamed) {
  QuantPlan p = plan({{"transformer.*.3", "int8"}, {"transformer", "fp8"}, {"transformer.blocks.3.attn", "nf4"}});
  EXPECT_EQ(becomes(p, "transformer.blocks.0.ff"), "fp8");
  EXPECT_EQ(becomes(p, "transformer.blocks.3.ff"), "int8");
  EXPECT_EQ(becomes(p, kQ), "nf4") << "the longest match wins";
  for (const char* pattern : {"weird[", "bl*cks", "a?", "re:(", "re:[a", "a..b", ".a", "a."}) {
    const std::string text = config_refusal({{"method", "fp8"}, {"ignored_layers", {pattern}}});
    EXPECT_TRUE(has(text, "ignored_layers")) << pattern << ": " << text;
    if (!std::string_view(pattern).starts_with("re:")) {
      EXPECT_FALSE(pattern_matches(pattern, kQ, {})) << "a matcher never throws: " << pattern;
    }
  }
}

TEST(ReportedBugs, Bug12_NullMissingAndDefaultDiffer) {
  QuantPlan with_default = plan({{"transformer", "fp8"}, {"vae", nullptr}, {"default", "int8"}});
  EXPECT_EQ(becomes(with_default, "vae.decoder.x"), "float") << "null: as it is";
  EXPECT_EQ(becomes(with_default, "text_encoder.x"), "int8") << "missing: the default";
  QuantPlan without = plan({{"transformer", "fp8"}, {"vae", nullptr}});
  EXPECT_EQ(becomes(without, "text_encoder.x"), "float") << "missing without a default: as it is";
  EXPECT_EQ(without.target("vae.x", stored("int8", "torchao"), Role::kOrdinary).action, Action::kKeep);
  QuantPlan none = plan({{"transformer", "fp8"}, {"vae", "none"}});
  EXPECT_NE(refusal([&] { (void)none.target("vae.x", stored("int8", "torchao"), Role::kOrdinary); }), "")
      << "none is a wish for float, null is none";
}

TEST(ReportedBugs, Bug13_NestedMapsReachTheirPathsOnly) {
  QuantPlan p = plan({{"thinker", {{"model", "fp8"}, {"visual", nullptr}, {"default", "int8"}}}}, kOmni);
  EXPECT_EQ(becomes(p, "thinker.model.layers.0.mlp.gate_proj"), "fp8");
  EXPECT_EQ(becomes(p, "thinker.visual.blocks.0.attn.qkv"), "float");
  EXPECT_EQ(becomes(p, "thinker.audio_tower.layers.0.fc1"), "int8");
  EXPECT_EQ(becomes(p, "talker.model.layers.0.mlp.gate_proj"), "float");
}

TEST(ReportedBugs, Bug14_ACopyOfAConfigIsTheSameConfig) {
  const QuantConfig config = build_quant_config({{"transformer", {{"method", "fp8"}, {"ignore", {"a", "re:zz.*"}}}}});
  const QuantConfig copy = config;
  QuantPlan first(config, kDiffusion), second(copy, kDiffusion);
  EXPECT_EQ(copy.normal_form(), config.normal_form());
  EXPECT_EQ(becomes(first, kQ), becomes(second, kQ));
  EXPECT_EQ(first.unmatched().size(), 2u);
  EXPECT_EQ(config.normal_form(), copy.normal_form()) << "a plan keeps what it found to itself";
}

TEST(ReportedBugs, Bug15_AConfigCrossesAProcessBoundary) {
  const json specs[] = {
      "fp8",
      "auto-round",
      "none",
      {{"method", "fp8"}, {"activation_scheme", "static"}, {"ignored_layers", {"img_mlp"}}},
      {{"transformer", "modelopt_fp4"}, {"text_encoder", nullptr}, {"default", "int8"}, {"requantize", true}},
      {{"method", "gguf"}, {"gguf_model", "a/b:Q4_K_M"}},
      {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"exclude_modules", {"proj_out"}}},
  };
  for (const json& spec : specs) {
    const QuantConfig here = build_quant_config(spec);
    const QuantConfig there = parse_quant_config(here.normal_form().dump());
    EXPECT_EQ(there.normal_form(), here.normal_form()) << spec;
    ASSERT_EQ(there.rules.size(), here.rules.size());
    for (size_t i = 0; i < here.rules.size(); ++i) {
      EXPECT_EQ(there.rules[i].method, here.rules[i].method) << spec;
      EXPECT_EQ(there.rules[i].kind, here.rules[i].kind) << spec;
      EXPECT_EQ(there.rules[i].is_component, here.rules[i].is_component) << spec;
    }
  }
}

TEST(ReportedBugs, Bug16_TwoSpellingsOfOneArgumentAreAnError) {
  const std::string text =
      config_refusal({{"method", "int8"}, {"ignored_layers", {"a"}}, {"modules_to_not_convert", {"b"}}});
  EXPECT_TRUE(has(text, "ignored_layers") && has(text, "modules_to_not_convert")) << text;
  EXPECT_NE(config_refusal({{"method", "bitsandbytes"}, {"ignore", {"a"}}, {"llm_int8_skip_modules", {"a"}}}), "");
}

TEST(ReportedBugs, Bug17_AConfigIsNotDroppedOnTheWay) {  // tests/apps: the plan of the program shows it as well
  const json spec = {{"method", "int8"}, {"ignored_layers", {"to_out"}}};
  QuantPlan p = plan(spec);
  EXPECT_EQ(p.config().normal_form(), build_quant_config(spec).normal_form());
  EXPECT_EQ(refusal([&] { plan("fp8").require_all_matched(false); }).empty(), false) << "a wish without any effect";
}

TEST(ReportedBugs, Bug18_IgnoredLayersInAnyOrderTwiceBySynonymFusedOrRuntimeNames) {
  const std::string attn = "transformer.blocks.3.attn.";
  const std::vector<QuantPlan::Part> qkv = {{attn + "to_q", {}, {"double_blocks.3.img_attn.qkv"}},
                                            {attn + "to_k", {}, {"double_blocks.3.img_attn.qkv"}},
                                            {attn + "to_v", {}, {"double_blocks.3.img_attn.qkv"}}};
  for (const char* key : {"ignored_layers", "modules_to_not_convert", "ignore", "exclude_modules"}) {
    for (const json& names :
         {json{"to_v", "to_q", "to_k", "to_q"}, json{"to_qkv"}, json{"double_blocks.3.img_attn.qkv"}, json{"qkv"},
          json{"blocks.3.attn"}, json{"re:.*\\.to_[qkv]"}}) {
      QuantPlan p = plan({{"method", "int8"}, {key, names}});
      for (const Decision& d : p.merged_target(qkv, Role::kOrdinary)) EXPECT_EQ(d.target.text(), "float") << names;
      EXPECT_TRUE(p.unmatched().empty()) << names;
    }
    QuantPlan part = plan({{"method", "int8"}, {key, {"to_q", "to_v"}}});
    const std::string text = refusal([&] { (void)part.merged_target(qkv, Role::kOrdinary); });
    EXPECT_TRUE(has(text, "but not " + attn + "to_k")) << text;
  }
  QuantPlan typo = plan({{"method", "int8"}, {"ignored_layers", {"img_mpl"}}});
  (void)becomes(typo, "transformer.blocks.0.img_mlp");
  EXPECT_TRUE(has(refusal([&] { typo.require_all_matched(false); }), "did you mean img_mlp?"));
}

TEST(ReportedBugs, Bug19_AGlobalMethodDoesNotLeakToAnotherStage) {
  QuantPlan picture = plan("fp8");
  EXPECT_EQ(becomes(picture, "vae.decoder.conv"), "float");
  EXPECT_EQ(becomes(picture, "transformer_2.blocks.0.ff"), "fp8") << "every expert of a cascade";
  QuantPlan omni = plan("fp8", kOmni);
  EXPECT_EQ(becomes(omni, "thinker.model.layers.0.mlp.up_proj"), "fp8");
  for (const char* path : {"thinker.visual.blocks.0.mlp.fc1", "thinker.audio_tower.layers.0.fc1", "thinker.model_2.x",
                           "talker.model.layers.0.mlp.up_proj", "talker.code_predictor.x", "code2wav.pre.x"}) {
    EXPECT_EQ(becomes(omni, path), "float") << path;
  }
  QuantPlan text = plan("fp8", pipeline_scope(PipelineKind::kText, {"model"}));
  EXPECT_EQ(becomes(text, "model.layers.0.mlp.up_proj"), "fp8");
  QuantPlan named = plan({{"thinker.language_model", "int8"}}, kOmni);
  EXPECT_EQ(becomes(named, "thinker.model.layers.0.mlp.up_proj"), "int8") << "the name users of Qwen2.5-Omni have";
}

TEST(ReportedBugs, Bug20_AnEncoderIsQuantizedOnlyWhenNamed) {
  QuantPlan global = plan("fp8");
  EXPECT_EQ(becomes(global, "text_encoder_2.block.0.wo"), "float");
  QuantPlan named = plan({{"transformer", "fp8"}, {"text_encoder_2", "fp8"}});
  EXPECT_EQ(becomes(named, "text_encoder_2.block.0.wo"), "fp8");
  EXPECT_EQ(becomes(named, "text_encoder.block.0.wo"), "float");
}

TEST(ReportedBugs, Bug29_EachExpertOfACascadeHasItsOwnMetadata) {
  QuantPlan p = plan(nullptr);
  EXPECT_EQ(p.target(kQ, stored("fp8/tensor/static", "modelopt"), Role::kOrdinary).target.text(), "fp8/tensor/static");
  EXPECT_EQ(p.target("transformer_2.blocks.0.ff", stored("nvfp4", "modelopt"), Role::kOrdinary).rule,
            "as stored by modelopt");
  QuantPlan wish = plan("fp8");
  EXPECT_EQ(wish.target(kQ, stored("fp8/tensor/static", "modelopt"), Role::kOrdinary).action, Action::kKeep);
  EXPECT_EQ(wish.target("transformer_2.blocks.0.ff", {}, Role::kOrdinary).action, Action::kQuantize)
      << "the float expert is quantized, the stored one kept";
}

TEST(ReportedBugs, Bug30_OnlyAnHfQuantConfig) {
  const json legacy = {{"producer", {{"name", "modelopt"}}},
                       {"quantization", {{"quant_algo", "FP8"}, {"exclude_modules", {"lm_head"}}}}};
  EXPECT_EQ(read_stored_method(legacy, "hf_quant_config.json")->method, "modelopt");
  EXPECT_FALSE(build_quant_config(nullptr, legacy, {}).asked());
  EXPECT_EQ(build_quant_config("fp8", legacy, {}).rules.size(), 1u);
}

TEST(ReportedBugs, Bug31_AnUnknownQuantAlgoIsNamed) {
  const json metadata = {{"quant_method", "modelopt"}, {"quant_algo", "W3A5"}};
  const std::string text = refusal([&] { (void)build_quant_config(nullptr, metadata, {}); });
  EXPECT_TRUE(has(text, "quant_algo") && has(text, "W3A5") && has(text, "NVFP4")) << text;
}

TEST(ReportedBugs, Bug33_APreQuantizedMethodNeverTouchesAnEncoderWithoutScales) {
  for (const char* method : {"modelopt", "modelopt_fp4", "svdquant", "awq"}) {
    QuantPlan p = plan(json{{"thinker", method}}, kOmni);
    EXPECT_EQ(becomes(p, "thinker.visual.blocks.0.mlp.fc1"), "float") << method;
    EXPECT_EQ(p.target("thinker.visual.blocks.0.mlp.fc2", {{}, method}, Role::kOrdinary).action, Action::kKeep);
  }
}

TEST(ReportedBugs, Bug34_LmHeadIsFoundWithAndWithoutItsPrefix) {
  for (const char* name : {"lm_head", "thinker.lm_head", "re:.*lm_head"}) {
    QuantPlan p = plan({{"method", "int8"}, {"ignored_layers", {name}}}, kOmni);
    (void)becomes(p, "thinker.model.layers.0.mlp.up_proj");
    EXPECT_EQ(becomes(p, "thinker.lm_head", Role::kSensitive), "float") << name;
    EXPECT_TRUE(p.unmatched().empty()) << name;
  }
  QuantPlan general = plan({{"thinker", "int8"}}, kOmni), named = plan({{"thinker", {{"lm_head", "int8"}}}}, kOmni);
  EXPECT_EQ(becomes(general, "thinker.lm_head", Role::kSensitive), "float");
  EXPECT_EQ(becomes(named, "thinker.lm_head", Role::kSensitive), "int8");
}

TEST(ReportedBugs, Bug35_AMoeRouterStaysFloatAndIsNotTheGateProjection) {
  QuantPlan p = plan({{"method", "int8"}, {"ignored_layers", {"gate"}}}, kOmni);
  EXPECT_EQ(becomes(p, "thinker.model.layers.0.mlp.gate", Role::kSensitive), "float");
  EXPECT_EQ(becomes(p, "thinker.model.layers.0.mlp.experts.0.gate_proj"), "int8");
  QuantPlan general = plan("int8", kOmni);
  EXPECT_EQ(becomes(general, "thinker.model.layers.0.mlp.gate", Role::kSensitive), "float");
}

TEST(ReportedBugs, Bug37_PartsOfAPartiallyQuantizedLayerKeepWhatTheyAre) {
  const std::string attn = "transformer.blocks.3.attn.";
  const std::vector<QuantPlan::Part> qkv = {{attn + "to_q", stored("fp8/tensor", "modelopt"), {}},
                                            {attn + "to_k", {{}, "modelopt"}, {}},
                                            {attn + "to_v", stored("nvfp4", "modelopt"), {}}};
  QuantPlan p = plan("modelopt_mixed");
  const std::vector<Decision> decisions = p.merged_target(qkv, Role::kOrdinary);
  EXPECT_EQ(decisions[0].target.text(), "fp8/tensor");
  EXPECT_EQ(decisions[1].target.text(), "float");
  EXPECT_EQ(decisions[2].target.text(), "nvfp4");
  for (const Decision& decision : decisions) EXPECT_EQ(decision.action, Action::kKeep);
}

TEST(ReportedBugs, AMethodThatStoredNothingHereIsAnErrorEvenWithAllowUnmatched) {
  QuantPlan p = plan("awq");
  EXPECT_EQ(becomes(p, kQ), "float");
  for (const bool allow : {false, true}) {
    const std::string text = refusal([&] { p.require_all_matched(allow); });
    EXPECT_TRUE(has(text, "'awq'") && has(text, "int4/g128")) << text;
  }
}

}  // namespace
}  // namespace omni
