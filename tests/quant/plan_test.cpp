#include "quant/plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"

namespace omni {
namespace {

using nlohmann::json;

const PipelineScope kScope{{"transformer", "transformer_2", "text_encoder", "vae"}, {"transformer", "transformer_2"}};
const std::string kQ = "transformer.transformer_blocks.3.attn.to_q";

QuantScheme scheme(const std::string& text) {
  return text == "float" ? QuantScheme{} : parse_scheme(text).value();
}
QuantPlan plan(const json& spec, const PipelineScope& scope = kScope) {
  return QuantPlan(build_quant_config(spec), scope);
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
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
// What becomes of a float weight, as text.
std::string becomes(QuantPlan& plan, const std::string& path, Role role = Role::kOrdinary,
                    std::vector<std::string> aliases = {}) {
  return plan.target(path, {}, role, aliases).target.text();
}

TEST(QuantPlan, DecidesEveryRowOfTheTableOfStoredAndWish) {
  const struct {
    const char* stored;
    json wish;
    Action action;
    const char* target;
  } rows[] = {
      {"float", nullptr, Action::kKeep, "float"},
      {"float", "none", Action::kKeep, "float"},
      {"float", "fp8", Action::kQuantize, "fp8"},
      {"float", {{"transformer", nullptr}}, Action::kKeep, "float"},
      {"int8", nullptr, Action::kKeep, "int8"},
      {"int8", {{"transformer", nullptr}}, Action::kKeep, "int8"},
      {"int8", "int8", Action::kKeep, "int8"},
      {"fp8/tensor/static", "fp8", Action::kKeep, "fp8/tensor/static"},
      {"fp8/128x128/per-group", "fp8", Action::kKeep, "fp8/128x128/per-group"},
      {"fp4/g16/f8e4m3/outer:f32:tensor/per-tensor", "fp4", Action::kKeep,
       "fp4/g16/f8e4m3/outer:f32:tensor/per-tensor"},
      {"nvfp4", "nvfp4", Action::kKeep, "nvfp4"},
      {"int8", {{"rules", {{{"path", ""}, {"scheme", "none"}}}}, {"dequantize", true}}, Action::kDequantize, "float"},
      {"int8", {{"method", "fp8"}, {"requantize", true}}, Action::kRequantize, "fp8"},
      {"int8", {{"method", "fp8"}, {"ignored_layers", {"to_q"}}}, Action::kKeep, "int8"},
  };
  for (const auto& row : rows) {
    QuantPlan p = plan(row.wish);
    const Decision got = p.target(kQ, scheme(row.stored), Role::kOrdinary);
    EXPECT_EQ(got.action, row.action) << row.stored << " with " << row.wish;
    EXPECT_EQ(got.target, scheme(row.target)) << row.stored << " with " << row.wish << " became " << got.target.text();
  }
}

TEST(QuantPlan, AConflictNamesBothAndTheTwoWaysOut) {
  const struct {
    const char *stored, *wish;
    std::vector<std::string> parts;
  } rows[] = {
      {"int8", "fp8", {kQ, "int8", "fp8", "no quantization flag", "requantize: true"}},
      {"nvfp4", "fp8", {"nvfp4", "fp8", "requantize: true"}},
      {"mxfp8", "fp8", {"mxfp8", "fp8"}},
      {"int8", "none", {kQ, "int8", "float", "no quantization flag", "dequantize: true"}},
  };
  for (const auto& row : rows) {
    QuantPlan p = plan(row.wish);
    const std::string text = refusal([&] { (void)p.target(kQ, scheme(row.stored), Role::kOrdinary); });
    EXPECT_FALSE(text.empty()) << row.stored << " with " << row.wish;
    for (const std::string& part : row.parts) EXPECT_TRUE(has(text, part)) << part << " in: " << text;
  }
}

TEST(QuantPlan, ASpelledOutSchemeIsNoFamily) {
  QuantPlan p = plan("fp8_per_tensor");
  EXPECT_NE(refusal([&] { (void)p.target(kQ, scheme("fp8"), Role::kOrdinary); }), "");
}

TEST(QuantPlan, NoneConflictsWithAQuantizedComponentOutsideTheDefaultScopeToo) {
  QuantPlan p = plan("none");
  EXPECT_NE(refusal([&] { (void)p.target("text_encoder.a", scheme("int8"), Role::kSensitive); }), "");
}

TEST(QuantPlan, AMethodNameReachesOnlyTheDefaultScope) {  // no leak of a global config to other stages
  QuantPlan p = plan("int8");
  EXPECT_EQ(becomes(p, kQ), "int8");
  EXPECT_EQ(becomes(p, "transformer_2.blocks.0.ffn"), "int8") << "every expert of a cascade";
  EXPECT_EQ(becomes(p, "text_encoder.encoder.block.0.wo"), "float");
  EXPECT_EQ(becomes(p, "vae.decoder.mid.to_q"), "float");
  EXPECT_EQ(p.target("text_encoder.b", scheme("nf4"), Role::kOrdinary).action, Action::kKeep);
}

TEST(QuantPlan, AComponentKeyReachesThatComponentAlone) {
  QuantPlan p = plan({{"transformer", "fp8"}, {"text_encoder", "int8"}, {"vae", nullptr}});
  EXPECT_EQ(becomes(p, kQ), "fp8");
  EXPECT_EQ(becomes(p, "transformer_2.blocks.0.ffn"), "float") << "transformer must not reach transformer_2";
  EXPECT_EQ(becomes(p, "text_encoder.encoder.block.0.wo"), "int8");
  EXPECT_EQ(becomes(p, "vae.decoder.x"), "float");
  EXPECT_TRUE(p.unmatched().empty());
}

TEST(QuantPlan, TheDefaultOfAMapReachesWhatNoOtherKeyDoes) {
  QuantPlan p = plan({{"transformer", nullptr}, {"default", "int8"}});
  EXPECT_EQ(becomes(p, kQ), "float");
  EXPECT_EQ(becomes(p, "text_encoder.a.b"), "int8");
  EXPECT_EQ(becomes(p, "text_encoder.norm.linear", Role::kSensitive), "float");
}

TEST(QuantPlan, AComponentThatThePipelineLacksIsRefusedListingThem) {
  for (const json& spec : {json{{"thinker", "fp8"}}, json{{"thinker.model", "fp8"}, {"transformer", "fp8"}},
                           json{{"rules", {{{"path", "thinker.model"}, {"scheme", "fp8"}}}}}}) {
    const std::string text = refusal([&] { (void)plan(spec); });
    EXPECT_TRUE(has(text, "'thinker'") && has(text, "transformer, transformer_2, text_encoder, vae")) << text;
  }
  EXPECT_TRUE(has(refusal([&] { (void)plan({{"text_encodr", "fp8"}}); }), "did you mean text_encoder?"));
}

TEST(QuantPlan, AGeneralRuleSkipsSensitiveWeightsAndANamingOneDoesNot) {
  const std::string norm = "transformer.transformer_blocks.0.norm1.linear", out = "transformer.proj_out";
  const struct {
    json spec;
    std::string path;
    const char* target;
  } rows[] = {
      {"int8", norm, "float"},
      {"int8", out, "float"},
      {{{"transformer", "int8"}}, out, "float"},
      {{{"transformer", "int8"}}, norm, "float"},
      {{{"default", "int8"}}, norm, "float"},
      {{{"rules", {{{"path", "transformer.transformer_blocks.0"}, {"scheme", "int8"}}}}}, norm, "float"},
      {{{"rules", {{{"path", "transformer.**"}, {"scheme", "int8"}}}}}, out, "float"},
      {{{"rules", {{{"path", "re:transformer\\..*"}, {"scheme", "int8"}}}}}, out, "float"},
      {{{"rules", {{{"path", "transformer.proj_out"}, {"scheme", "int8"}}}}}, out, "int8"},
      {{{"transformer.proj_out", "int8"}}, out, "int8"},
      {{{"transformer", {{"proj_out", "int8"}}}}, out, "int8"},
      {{{"rules", {{{"path", "proj_out"}, {"scheme", "int8"}}}}}, out, "int8"},
      {{{"rules", {{{"path", "norm1"}, {"scheme", "int8"}}}}}, norm, "int8"},
      {{{"rules", {{{"path", "transformer.transformer_blocks.*.norm1.linear"}, {"scheme", "int8"}}}}}, norm, "int8"},
  };
  for (const auto& row : rows) {
    QuantPlan p = plan(row.spec);
    EXPECT_EQ(becomes(p, row.path, Role::kSensitive), row.target) << row.spec << " on " << row.path;
  }
}

TEST(QuantPlan, AWeightThatIsNeverQuantizedIsAnErrorWhenNamed) {
  QuantPlan general = plan("int8");
  EXPECT_EQ(becomes(general, "transformer.conv.norm", Role::kNever), "float");
  QuantPlan named = plan({{"rules", {{{"path", "transformer.conv.norm"}, {"scheme", "int8"}}}}});
  EXPECT_TRUE(has(refusal([&] { (void)becomes(named, "transformer.conv.norm", Role::kNever); }), "never quantized"));
}

TEST(QuantPlan, TheLongestMatchWinsAndALiteralBeatsAWildcard) {
  QuantPlan p = plan({{"rules",
                       {{{"path", "transformer"}, {"scheme", "int8"}},
                        {{"path", "transformer.transformer_blocks.*.attn"}, {"scheme", "fp8"}},
                        {{"path", "transformer.transformer_blocks.3.attn"}, {"scheme", "nf4"}},
                        {{"path", "**.to_k"}, {"scheme", "q4_k"}}}}});
  EXPECT_EQ(becomes(p, "transformer.transformer_blocks.3.ff"), "int8");
  EXPECT_EQ(becomes(p, "transformer.transformer_blocks.4.attn.to_q"), "fp8");
  EXPECT_EQ(becomes(p, kQ), "nf4");
  EXPECT_EQ(becomes(p, "transformer.transformer_blocks.3.attn.to_k"), "q4_k");
  EXPECT_TRUE(p.unmatched().empty());
}

TEST(QuantPlan, AnExactTieOfDifferentMeaningIsAnErrorNamingBoth) {
  const auto tie = [](const char* first, const char* second) {
    QuantPlan p = plan({{"rules",
                         {{{"path", "transformer.*.3"}, {"scheme", first}},
                          {{"path", "transformer.transformer_blocks.*"}, {"scheme", second}}}}});
    return refusal([&] { (void)p.target(kQ, {}, Role::kOrdinary); });
  };
  const std::string text = tie("int8", "fp8");
  EXPECT_TRUE(has(text, "transformer.*.3") && has(text, "transformer.transformer_blocks.*") && has(text, kQ)) << text;
  EXPECT_EQ(tie("int8", "int8"), "");
}

TEST(QuantPlan, IgnoredNamesOfAnyDialectAreFound) {  // an ignore list must never be silently without effect
  const std::string path = "transformer.transformer_blocks.3.img_mlp.fc1";
  const std::vector<std::string> aliases = {"double_blocks.3.img_mlp.0", "blocks.3.mlp_in"};
  for (const char* name : {"img_mlp", "fc1", "mlp_in", "transformer_blocks.3.img_mlp.fc1", "double_blocks.3.img_mlp",
                           "double_blocks.3.img_mlp.0", "double_blocks.*.img_mlp.0", "blocks.3.mlp_in", "re:.*img_mlp",
                           "transformer.transformer_blocks.3", "transformer.double_blocks.3", "**.img_mlp"}) {
    for (const json& spec : {json{{"method", "int8"}, {"ignored_layers", {name}}},
                             json{{"transformer", {{"method", "int8"}, {"ignored_layers", {name}}}}}}) {
      QuantPlan p = plan(spec);
      EXPECT_EQ(becomes(p, path, Role::kOrdinary, aliases), "float") << spec;
      EXPECT_EQ(becomes(p, "transformer.other.linear"), "int8") << spec;
      EXPECT_TRUE(p.unmatched().empty()) << spec;
    }
  }
}

TEST(QuantPlan, AnIgnoredNameOfOneComponentStaysThere) {
  QuantPlan p = plan({{"transformer", "fp8"}, {"text_encoder", {{"method", "int8"}, {"ignored_layers", {"wo"}}}}});
  EXPECT_EQ(becomes(p, "text_encoder.block.0.wo"), "float");
  EXPECT_EQ(becomes(p, "text_encoder.block.0.wi"), "int8");
  EXPECT_EQ(becomes(p, "transformer.block.0.wo"), "fp8");
}

TEST(QuantPlan, AFusedLayerIsIgnoredWholeOrNotAtAll) {
  const std::string attn = "transformer.transformer_blocks.3.attn.";
  const std::vector<QuantPlan::Part> parts = {
      {attn + "to_q", {}, {}}, {attn + "to_k", {}, {}}, {attn + "to_v", {}, {}}};
  const struct {
    json ignored;
    const char* target;
  } rows[] = {{json::array(), "int8"},
              {{"to_q", "to_v", "to_k"}, "float"},
              {{"to_qkv"}, "float"},
              {{"attn"}, "float"},
              {{"to_out"}, "int8"}};
  for (const auto& row : rows) {
    QuantPlan p = plan({{"method", "int8"}, {"ignored_layers", row.ignored}});
    EXPECT_EQ(p.merged_target(parts, Role::kOrdinary)[0].target.text(), row.target) << row.ignored;
  }
  QuantPlan partial = plan({{"method", "int8"}, {"ignored_layers", {"to_q", "to_k"}}});
  const std::string text = refusal([&] { (void)partial.merged_target(parts, Role::kOrdinary); });
  EXPECT_TRUE(has(text, "but not " + attn + "to_v")) << text;
  QuantPlan mixed =
      plan({{"rules", {{{"path", "transformer"}, {"scheme", "int8"}}, {{"path", "to_q"}, {"scheme", "fp8"}}}}});
  const std::string differ = refusal([&] { (void)mixed.merged_target(parts, Role::kOrdinary); });
  EXPECT_TRUE(has(differ, "int8") && has(differ, "fp8")) << differ;
}

TEST(QuantPlan, ARuleThatMatchedNothingIsAnErrorWithTheClosestPath) {
  QuantPlan p = plan({{"method", "int8"}, {"ignored_layers", {"img_mpl", "to_q"}}});
  (void)becomes(p, kQ);
  (void)becomes(p, "transformer.transformer_blocks.3.img_mlp");
  EXPECT_EQ(p.unmatched(), std::vector<std::string>{"ignored_layers: img_mpl"});
  const std::string text = refusal([&] { p.require_all_matched(false); });
  EXPECT_TRUE(has(text, "ignored_layers: img_mpl") && has(text, "did you mean img_mlp?")) << text;
  EXPECT_NO_THROW(p.require_all_matched(true));
}

TEST(QuantPlan, AWishThatOnlySkippedSensitiveWeightsHadNoEffect) {
  QuantPlan p = plan("int8");
  (void)becomes(p, "transformer.proj_out", Role::kSensitive);
  EXPECT_EQ(p.unmatched(), std::vector<std::string>{"int8"});
  EXPECT_NE(refusal([&] { p.require_all_matched(false); }), "");
  (void)becomes(p, kQ);
  EXPECT_NO_THROW(p.require_all_matched(false));
}

TEST(QuantPlan, AMethodOnAPipelineWithoutDefaultComponentsIsUnmatched) {
  QuantPlan p = plan("fp8", PipelineScope{{"vae"}, {}});
  (void)becomes(p, "vae.x");
  EXPECT_EQ(p.unmatched(), std::vector<std::string>{"fp8"});
}

TEST(QuantPlan, TheRuleThatDecidedIsNamedAsTheUserWroteIt) {
  QuantPlan p = plan({{"transformer", {{"method", "FP8"}, {"ignored_layers", {"to_q"}}}}});
  EXPECT_EQ(p.target(kQ, {}, Role::kOrdinary).rule, "ignored_layers: to_q");
  EXPECT_EQ(p.target("transformer.a", {}, Role::kOrdinary).rule, "transformer: FP8");
  EXPECT_EQ(p.target("vae.a", {}, Role::kOrdinary).rule, "");
  EXPECT_EQ(role_name(Role::kSensitive), "sensitive");
}

}  // namespace
}  // namespace omni
