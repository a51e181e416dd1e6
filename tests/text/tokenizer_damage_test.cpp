#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "support/support.h"
#include "text/tokenizer.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The message of the Error that loading the folder gives; "" when it loads.
std::string refusal(const fs::path& folder) {
  try {
    Tokenizer::load(folder);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(TokenizerDamage, RefusesEachDamagedFolderForItsOwnReason) {
  ASSERT_EQ(refusal(testing::golden("tokenizers/byte_level")), "") << "the undamaged one must load";
  const std::pair<std::string, std::vector<std::string>> cases[] = {
      {"truncated", {"tokenizer.json", "JSON"}},     {"merge-unknown", {"model", "zq", "vocabulary"}},
      {"id-twice", {"vocab", "10", "each id once"}}, {"id-2-40", {"vocab", "1099511627776", "256"}},
      {"no-vocab", {"model: vocab", "missing"}},     {"model-type", {"model: type", "Quadgram", "BPE"}},
  };
  for (const auto& [name, words] : cases) {
    const std::string message = refusal(testing::golden("damaged_tokenizers") / name);
    for (const std::string& word : words) EXPECT_NE(message.find(word), std::string::npos) << name << ": " << message;
  }
}

json good(const std::string& name) {
  const fs::path path = testing::golden("tokenizers") / name / "tokenizer.json";
  return parse_json(read_file(path, 1 << 20), path.string());
}

std::string refusal_of(const json& file) {
  const testing::TemporaryFolder folder;
  write_file_whole(folder.path() / "tokenizer.json", file.dump());
  return refusal(folder.path());
}

struct Damage {
  std::string file;
  std::string pointer;
  std::string value;  // JSON
  std::string word;   // that the message has
};

TEST(TokenizerDamage, NamesTheComponentItDoesNotSupport) {
  const Damage cases[] = {
      {"clip_tiny", "/normalizer/normalizers/0/type", "\"BertNormalizer\"", "BertNormalizer"},
      {"clip_tiny", "/normalizer/type", "\"Nmt\"", "Nmt"},
      {"clip_tiny", "/pre_tokenizer/pretokenizers/0/behavior", "\"Contiguous\"", "Contiguous"},
      {"clip_tiny", "/pre_tokenizer/pretokenizers/1/type", "\"Punctuation\"", "Punctuation"},
      {"clip_tiny", "/post_processor/type", "\"Fancy\"", "Fancy"},
      {"clip_tiny", "/model/byte_fallback", "true", "byte_fallback"},
      {"clip_tiny", "/model/dropout", "0.1", "dropout"},
      {"clip_tiny", "/model/continuing_subword_prefix", "\"##\"", "continuing_subword_prefix"},
      {"t5_tiny", "/pre_tokenizer/pretokenizers/1/prepend_scheme", "\"first\"", "first"},
      {"t5_tiny", "/model/byte_fallback", "true", "byte_fallback"},
  };
  for (const Damage& damage : cases) {
    json file = good(damage.file);
    file[json::json_pointer(damage.pointer)] = json::parse(damage.value);
    const std::string message = refusal_of(file);
    EXPECT_NE(message.find(damage.word), std::string::npos) << damage.pointer << ": " << message;
    EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
  }
}

TEST(TokenizerDamage, RefusesValuesThatLie) {
  const Damage cases[] = {
      {"clip_tiny", "/model/vocab/!", "-1", "vocab"},
      {"clip_tiny", "/model/vocab/!", "0.5", "vocab"},
      {"clip_tiny", "/model/vocab/!", "\"x\"", "vocab"},
      {"clip_tiny", "/model/unk_token", "\"nowhere\"", "nowhere"},
      {"clip_tiny", "/model/merges/0", "[\"a\"]", "merges"},
      {"clip_tiny", "/model/merges/0", "\"a b c\"", "merges"},
      {"clip_tiny", "/model/merges", "7", "merges"},
      {"clip_tiny", "/model", "[]", "object"},
      {"clip_tiny", "/added_tokens/0/id", "5", "id"},
      {"clip_tiny", "/added_tokens/0/id", "123456789", "id"},
      {"clip_tiny", "/added_tokens/0/content", "\"\"", "content"},
      {"clip_tiny", "/added_tokens/1/content", "\"<|startoftext|>\"", "id"},
      {"clip_tiny", "/pre_tokenizer/pretokenizers/0/pattern/Regex", "\"(\"", "regular expression"},
      {"clip_tiny", "/pre_tokenizer/pretokenizers", "{}", "pretokenizers"},
      {"clip_tiny", "/post_processor/sep", "[\"x\", 4294967296]", "sep"},
      {"clip_tiny", "/post_processor/cls", "[\"x\", -1]", "cls"},
      {"t5_tiny", "/model/unk_id", "62", "unk_id"},
      {"t5_tiny", "/model/unk_id", "null", "unk_id"},
      {"t5_tiny", "/model/vocab", "[]", "vocab"},
      {"t5_tiny", "/model/vocab/5", "[\"e\"]", "vocab"},
      {"t5_tiny", "/model/vocab/5", "[\"e\", \"x\"]", "vocab"},
      {"t5_tiny", "/model/vocab/5", "[\"n\", 0]", "twice"},
      {"t5_tiny", "/normalizer/precompiled_charsmap", "\"AAAA\"", "trie"},
      {"t5_tiny", "/normalizer/precompiled_charsmap", "\"/////w==\"", "trie"},
      {"t5_tiny", "/normalizer/precompiled_charsmap", "\"!\"", "base64"},
      {"t5_tiny", "/pre_tokenizer/pretokenizers/1/replacement", "\"\"", "replacement"},
      {"t5_tiny", "/post_processor/single", "[]", "Sequence"},
      {"t5_tiny", "/post_processor/special_tokens/<~1s>/ids", "[62]", "id"},
      {"t5_tiny", "/post_processor/special_tokens", "{}", "</s>"},
  };
  for (const Damage& damage : cases) {
    json file = good(damage.file);
    file[json::json_pointer(damage.pointer)] = json::parse(damage.value);
    const std::string message = refusal_of(file);
    EXPECT_NE(message.find(damage.word), std::string::npos)
        << damage.pointer << " = " << damage.value << ": " << message;
  }
}

// A trie whose units point anywhere must be harmless: every walk stays inside.
TEST(TokenizerDamage, SurvivesACharsmapOfRandomUnits) {
  json file = good("t5_tiny");
  std::string map = file.at("normalizer").at("precompiled_charsmap").get<std::string>();
  for (size_t i = 8; i < map.size() - 4; ++i) map[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789+/"[i * 7919 % 44];
  file["normalizer"]["precompiled_charsmap"] = map;
  const testing::TemporaryFolder folder;
  write_file_whole(folder.path() / "tokenizer.json", file.dump());
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  for (const char* text : {"a red fish", "caf\u00e9 \u2460\u2461", "\U0001f600 e\u0301\u0302"})
    EXPECT_FALSE(tokenizer.encode(text, 512, PadTo::kNothing).ids.empty());
}

TEST(TokenizerDamage, RefusesFoldersWithoutATokenizerAndBadCompanions) {
  const testing::TemporaryFolder folder;
  EXPECT_NE(refusal(folder.path()).find("holds no tokenizer"), std::string::npos);
  write_file_whole(folder.path() / "spiece.model", "not a model");
  EXPECT_NE(refusal(folder.path()).find("spiece.model"), std::string::npos);
  write_file_whole(folder.path() / "vocab.json", R"({"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2})");
  write_file_whole(folder.path() / "merges.txt", "#version: 0.2\n");
  EXPECT_EQ(refusal(folder.path()), "");
  write_file_whole(folder.path() / "merges.txt", "#version: 0.2\nab\n");
  EXPECT_NE(refusal(folder.path()).find("line 2"), std::string::npos) << refusal(folder.path());
  write_file_whole(folder.path() / "merges.txt", "");
  write_file_whole(folder.path() / "vocab.json", R"({"<|startoftext|>": 0, "<|endoftext|>": 0})");
  EXPECT_NE(refusal(folder.path()).find("each id once"), std::string::npos);
  write_file_whole(folder.path() / "vocab.json", R"({"<|endoftext|>": 0})");
  EXPECT_NE(refusal(folder.path()).find("<|startoftext|>"), std::string::npos);
}

TEST(TokenizerDamage, RefusesAConfigThatLies) {
  const testing::TemporaryFolder folder;
  const fs::path config = folder.path() / "tokenizer_config.json";
  fs::copy_file(testing::golden("tokenizers/clip_tiny/tokenizer.json"), folder.path() / "tokenizer.json");
  for (const char* text : {"{", "[]", R"({"pad_token": "nowhere"})", R"({"model_max_length": 0})",
                           R"({"model_max_length": "77"})", R"({"pad_token": 5})", R"({"extra_ids": -1})"}) {
    write_file_whole(config, text);
    EXPECT_NE(refusal(folder.path()).find("tokenizer_config.json"), std::string::npos) << text;
  }
  write_file_whole(config, R"({"pad_token": {"content": "<|endoftext|>"}, "model_max_length": 1e30})");
  ASSERT_EQ(refusal(folder.path()), "");
  EXPECT_EQ(Tokenizer::load(folder.path()).model_max_tokens(), 2147483647);
  EXPECT_EQ(Tokenizer::load(folder.path()).pad_id(), 623);
}

}  // namespace
}  // namespace omni
