#include "checkpoint/module_list.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace omni {
namespace {

using Kind = ModuleList::Kind;

NameMatch match(const char* entry, Kind kind, const char* module) {
  return ModuleList({entry}, kind, "config.json: ignore").match(module);
}

TEST(ModuleList, AnEntryMatchesAsItsToolMeansIt) {
  struct Case {
    const char* entry;
    Kind kind;
    const char* module;
    NameMatch want;
  };
  const std::vector<Case> cases = {
      {"lm_head", Kind::kNames, "lm_head", NameMatch::kExact},
      {"model.layers.1", Kind::kNames, "model.layers.1.mlp.up", NameMatch::kLoose},
      {"model.layers.1", Kind::kNames, "model.layers.10.mlp.up", NameMatch::kNone},
      {"model.layers.1", Kind::kPrefixes, "model.layers.1.mlp.up", NameMatch::kExact},
      {"model.layers.1", Kind::kPrefixes, "model.layers.10.mlp.up", NameMatch::kNone},
      {"lm_head", Kind::kPrefixes, "thinker.lm_head", NameMatch::kExact},
      {"lm_head", Kind::kNames, "thinker.lm_head", NameMatch::kLoose},
      {"head", Kind::kPrefixes, "lm_head", NameMatch::kNone},
      {"re:.*mlp.gate$", Kind::kNames, "model.layers.0.mlp.gate", NameMatch::kExact},
      {"re:.*mlp.gate$", Kind::kNames, "model.layers.0.mlp.gate_proj", NameMatch::kNone},
      {"re:model.layers", Kind::kNames, "model.layers.0.mlp.up", NameMatch::kExact},
      {"re:layers", Kind::kNames, "model.layers.0.mlp.up", NameMatch::kLoose},
      {"re:up", Kind::kNames, "model.layers.0.mlp.gate_up", NameMatch::kNone},
      {"talker*", Kind::kWildcards, "talker.model.x", NameMatch::kExact},
      {"*mlp.gate", Kind::kWildcards, "model.layers.0.mlp.gate", NameMatch::kExact},
      {"*mlp.gate", Kind::kWildcards, "model.layers.0.mlp.gate_proj", NameMatch::kNone},
      {"model.layer?.0", Kind::kWildcards, "model.layers.0", NameMatch::kExact},
      {"model.layers.0*", Kind::kWildcards, "thinker.model.layers.0.mlp.up", NameMatch::kLoose},
      {"model.language_model.layers.0.up", Kind::kNames, "language_model.model.layers.0.up", NameMatch::kLoose},
      {"model", Kind::kNames, "model.layers.0.up", NameMatch::kNone},
      {"", Kind::kPrefixes, "a", NameMatch::kNone},
  };
  for (const Case& c : cases) EXPECT_EQ(match(c.entry, c.kind, c.module), c.want) << c.entry << " for " << c.module;
}

TEST(ModuleList, ABadExpressionIsAnErrorThatNamesTheList) {
  try {
    (void)match("re:(unclosed", Kind::kNames, "a");
    FAIL() << "was accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "config.json: ignore");
    EXPECT_NE(e.found().find("(unclosed"), std::string::npos) << e.what();
  }
}

TEST(ModuleList, AnExpressionThatNeverEndsIsCutOff) {
  const std::string name(4000, 'a');
  EXPECT_EQ(match("re:(a+)+b", Kind::kNames, name.c_str()), NameMatch::kNone);
}

TEST(ModuleList, TablesAndRoutersAreNoLinears) {
  for (const char* name : {"model.embed_tokens", "talker.codec_embedding.0", "transformer.wte", "shared",
                           "layers.0.mlp.gate", "model.layers.0.block_sparse_moe.router"})
    EXPECT_FALSE(names_linear(name)) << name;
  for (const char* name : {"x_embedder", "time_text_embed.timestep_embedder.linear_1", "layers.0.mlp.gate_proj",
                           "lm_head", "layers.0.mlp.shared_expert_gate", "net.0"})
    EXPECT_TRUE(names_linear(name)) << name;
}

}  // namespace
}  // namespace omni
