#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

constexpr int64_t kNoLimit = 1 << 20;

nlohmann::json recorded() {
  const fs::path path = testing::golden("tokenizers.json");
  return parse_json(read_file(path, 1 << 20), path.string());
}

std::string shown(const Ids& ids) {
  return ::testing::PrintToString(ids);
}

// All recorded strings through one tokenizer.
void expect_recorded_ids(const Tokenizer& tokenizer, const nlohmann::json& golden, const std::string& name) {
  const nlohmann::json& rows = golden.at("ids").at(name);
  ASSERT_EQ(rows.size(), golden.at("strings").size());
  ASSERT_GE(rows.size(), 60u);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto text = golden.at("strings")[i].get<std::string>();
    const Encoded got = tokenizer.encode(text, kNoLimit, PadTo::kNothing);
    EXPECT_EQ(got.ids, rows[i].get<Ids>())
        << name << ", string " << i << ": " << golden.at("strings")[i].dump(-1, ' ', true);
    EXPECT_EQ(got.dropped, 0);
  }
}

TEST(Tokenizer, GivesTheReferenceIdsForEveryRecordedString) {
  const nlohmann::json golden = recorded();
  ASSERT_GE(golden.at("ids").size(), 6u);
  for (const auto& [name, rows] : golden.at("ids").items())
    expect_recorded_ids(Tokenizer::load(testing::source_dir() / name), golden, name);
}

// A copy of a tokenizer folder with only the named files.
void copy_files(const fs::path& from, const fs::path& to, const std::vector<std::string>& names) {
  for (const std::string& name : names) fs::copy_file(from / name, to / name);
}

TEST(Tokenizer, ReadsVocabAndMergesAsItReadsTokenizerJson) {
  const nlohmann::json golden = recorded();
  for (const std::string name : {"models/mini-flux/tokenizer", "tests/golden/tokenizers/clip_tiny"}) {
    const testing::TemporaryFolder folder;
    copy_files(testing::source_dir() / name, folder.path(), {"vocab.json", "merges.txt", "tokenizer_config.json"});
    const Tokenizer tokenizer = Tokenizer::load(folder.path());
    expect_recorded_ids(tokenizer, golden, name);
    EXPECT_EQ(tokenizer.vocab_size(), Tokenizer::load(testing::source_dir() / name).vocab_size());
  }
}

TEST(Tokenizer, ReadsSpieceModelAsTheReferenceDoes) {
  const nlohmann::json golden = recorded();
  const testing::TemporaryFolder folder;
  copy_files(testing::model("mini-flux/tokenizer_2"), folder.path(), {"spiece.model", "tokenizer_config.json"});
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  int compared = 0;
  for (size_t i = 0; i < golden.at("strings").size(); ++i) {
    const auto text = golden.at("strings")[i].get<std::string>();
    if (text.find('<') != std::string::npos) continue;  // special tokens are cut out before SentencePiece sees them
    Ids want = golden.at("spiece")[i].get<Ids>();
    want.push_back(1);
    EXPECT_EQ(tokenizer.encode(text, kNoLimit, PadTo::kNothing).ids, want) << "string " << i << ": " << text;
    ++compared;
  }
  EXPECT_GE(compared, 60);
}

TEST(Tokenizer, TakesSpecialTokensAndExtraIdsOutOfTheTextOfSpieceModel) {
  const testing::TemporaryFolder folder;
  copy_files(testing::model("mini-flux/tokenizer_2"), folder.path(), {"spiece.model"});
  write_file_whole(folder.path() / "tokenizer_config.json", R"({"extra_ids": 100, "pad_token": "<pad>"})");
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  const auto last = static_cast<int32_t>(tokenizer.vocab_size() - 1);
  EXPECT_EQ(tokenizer.vocab_size(), 1111 + 100);
  EXPECT_EQ(tokenizer.encode("</s><extra_id_0><extra_id_99>", 8, PadTo::kWindow).ids,
            (Ids{1, last, last - 99, 1, 0, 0, 0, 0}));
}

TEST(Tokenizer, GivesTheIdsOfTheGoldenJob) {
  const auto checkpoint = open_safetensors(testing::golden("mini-flux.safetensors"));
  const Tokenizer clip = Tokenizer::load(testing::model("mini-flux/tokenizer"));
  const Tokenizer t5 = Tokenizer::load(testing::model("mini-flux/tokenizer_2"));
  const std::vector<std::string> prompts = {"a crab on a teal background", "a cat"};
  for (size_t job = 0; job < prompts.size(); ++job) {
    for (const auto& [name, tokenizer] : {std::pair{".clip_ids", &clip}, std::pair{".t5_ids", &t5}}) {
      const Tensor want = to_f32(checkpoint->tensor(std::to_string(job) + name));
      const Encoded got = tokenizer->encode(prompts[job], tokenizer->model_max_tokens(), PadTo::kWindow);
      ASSERT_EQ(static_cast<int64_t>(got.ids.size()), want.shape().count());
      for (size_t i = 0; i < got.ids.size(); ++i)
        EXPECT_EQ(static_cast<float>(got.ids[i]), want.f32()[i]) << job << name << " at " << i;
    }
  }
}

TEST(Tokenizer, CutsALongTextAndKeepsTheSpecialTokens) {
  const Tokenizer clip = Tokenizer::load(testing::model("mini-flux/tokenizer"));
  std::string text;
  for (int i = 0; i < 100; ++i) text += "cat ";
  const Ids all = clip.encode(text, kNoLimit, PadTo::kNothing).ids;
  const Encoded cut = clip.encode(text, 77, PadTo::kWindow);
  ASSERT_EQ(cut.ids.size(), 77u);
  EXPECT_EQ(cut.dropped, static_cast<int64_t>(all.size()) - 77);
  EXPECT_EQ(cut.ids.front(), 2019);
  EXPECT_EQ(cut.ids.back(), 2020);
  EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end() - 1, all.begin())) << shown(cut.ids);

  const Tokenizer t5 = Tokenizer::load(testing::model("mini-flux/tokenizer_2"));
  const Encoded short_t5 = t5.encode(text, 4, PadTo::kWindow);
  ASSERT_EQ(short_t5.ids.size(), 4u);
  EXPECT_EQ(short_t5.ids.back(), 1);
  EXPECT_EQ(short_t5.dropped, static_cast<int64_t>(t5.encode(text, kNoLimit, PadTo::kNothing).ids.size()) - 4);
}

TEST(Tokenizer, FillsTheWindowOnlyWhenAsked) {
  const Tokenizer t5 = Tokenizer::load(testing::model("mini-flux/tokenizer_2"));
  EXPECT_EQ(t5.encode("", 4, PadTo::kWindow).ids, (Ids{1, 0, 0, 0}));
  EXPECT_EQ(t5.encode("", 4, PadTo::kNothing).ids, (Ids{1}));
  EXPECT_EQ(t5.model_max_tokens(), 32);
  EXPECT_EQ(t5.pad_id(), 0);
  EXPECT_EQ(t5.vocab_size(), 1111);
}

TEST(Tokenizer, RefusesAWindowBelowTheSpecialTokensAndTextThatIsNotUtf8) {
  const Tokenizer clip = Tokenizer::load(testing::model("mini-flux/tokenizer"));
  EXPECT_EQ(clip.encode("a cat", 2, PadTo::kWindow).ids, (Ids{2019, 2020}));
  EXPECT_THROW(clip.encode("a cat", 1, PadTo::kWindow), Error);
  for (const std::string bad : {"a \xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "ok \xe2\x82"}) {
    try {
      clip.encode(bad, 77, PadTo::kWindow);
      ADD_FAILURE() << "took bytes that are not UTF-8";
    } catch (const Error& e) {
      EXPECT_EQ(e.fault(), Fault::kUsage);
      EXPECT_NE(std::string(e.what()).find("UTF-8"), std::string::npos) << e.what();
    }
  }
}

TEST(Tokenizer, EncodesAMegabyteOfOneWordQuickly) {
  const std::string text(1 << 20, 'a');
  for (const std::string name : {"mini-flux/tokenizer", "mini-flux/tokenizer_2"}) {
    const Encoded got = Tokenizer::load(testing::model(name)).encode(text, 77, PadTo::kWindow);
    EXPECT_GT(got.dropped, 1000);
  }
}

}  // namespace
}  // namespace omni
