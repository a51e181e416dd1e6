#include "checkpoint/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "checkpoint/gguf_reference.h"
#include "checkpoint/gguf_write.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Gguf, MetadataKeepsItsTypes) {
  const auto file = open_gguf(testing::golden("checkpoints/gguf-types") / "types.gguf");
  EXPECT_EQ(file->architecture(), "fixture");
  EXPECT_EQ(file->integers("fixture.ints"), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(file->texts("fixture.strings"), (std::vector<std::string>{"a", "", "\xc3\xbcn\xc3\xaf"}));
  EXPECT_EQ(file->number("fixture.f32"), static_cast<double>(0.1f));
  EXPECT_EQ(file->metadata("fixture.f32"), "0.1");
  EXPECT_TRUE(file->boolean_or("fixture.flag", false));
  EXPECT_EQ(file->metadata("fixture.flag"), "true");
  EXPECT_EQ(file->integer("fixture.u64"), int64_t{1} << 40);
  EXPECT_EQ(file->integer_or("fixture.none", 5), 5);
  EXPECT_EQ(file->metadata("fixture.none"), "");
  EXPECT_EQ(file->metadata("fixture.ints"), "[3 x i32]");
}

TEST(Gguf, AValueOfAnotherKindIsRefusedNamingKeyFoundAndExpected) {
  const auto file = open_gguf(testing::golden("checkpoints/gguf-types") / "types.gguf");
  const std::string message = message_of([&] { (void)file->integer("fixture.strings"); });
  EXPECT_NE(message.find("types.gguf: fixture.strings: is array of string [3 x string] (expected an integer)"),
            std::string::npos)
      << message;
  EXPECT_NE(message_of([&] { (void)file->text("fixture.none"); }).find("fixture.none: is missing"), std::string::npos);
  EXPECT_NE(message_of([&] { (void)file->text("fixture.u64"); }), "");
  EXPECT_NE(message_of([&] { (void)file->integer("fixture.flag"); }), "");
  EXPECT_NE(message_of([&] { (void)file->numbers("fixture.ints"); }), "");
}

TEST(Gguf, DimensionsAreReversedAndBlocksAreBytes) {
  const auto file = open_gguf(testing::golden("checkpoints/gguf-types") / "types.gguf");
  const Checkpoint::Entry* entry = file->find("t.q4_k");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->shape, (Shape{2, 256}));
  EXPECT_EQ(entry->dtype, DType::kNone);
  EXPECT_EQ(entry->block_type, static_cast<int>(GgmlType::kQ4_K));
  EXPECT_EQ(file->tensor("t.q4_k").shape(), (Shape{2, 144}));
  EXPECT_EQ(file->find("t.f32")->dtype, DType::kF32);
  EXPECT_EQ(file->find("t.f32")->block_type, -1);
  EXPECT_EQ(file->find("t.three_dims_q8_0")->shape, (Shape{2, 1, 32}));
}

std::vector<std::pair<std::string, GgufValue>> every_value() {
  return {{"a.u16", GgufValue::u16(65535)},       {"a.u32", GgufValue::u32(4294967295u)},
          {"a.i32", GgufValue::i32(-7)},          {"a.u64", GgufValue::u64(UINT64_MAX)},
          {"a.f32", GgufValue::f32(0.1f)},        {"a.bool", GgufValue::boolean(true)},
          {"a.text", GgufValue::text("words")},   {"a.i32s", GgufValue::i32s({-1, 2})},
          {"a.f32s", GgufValue::f32s({0.5, -2})}, {"a.texts", GgufValue::texts({"x", "", "y"})}};
}

TEST(Gguf, WhatIsWrittenReadsBack) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "w.gguf";
  const Tensor matrix = testing::random_tensor(Shape{3, 5}, 1), vector = testing::random_tensor(Shape{7}, 2);
  GgufWriter writer(path, every_value(), {{"m", GgmlType::kF32, Shape{3, 5}}, {"v", GgmlType::kF32, Shape{7}}});
  writer.write("v", vector);
  writer.write("m", matrix);
  writer.finish();
  const auto file = open_gguf(path);
  for (const auto& [key, value] : every_value()) {
    ASSERT_NE(file->value(key), nullptr) << key;
    EXPECT_EQ(*file->value(key), value) << key << ": " << file->metadata(key);
  }
  EXPECT_EQ(file->metadata("a.u64"), "18446744073709551615");
  EXPECT_EQ(std::memcmp(file->tensor("m").raw(), matrix.raw(), 60), 0);
  EXPECT_EQ(std::memcmp(file->tensor("v").raw(), vector.raw(), 28), 0);
}

TEST(Gguf, AnUnfinishedFileLeavesNothing) {
  const testing::TemporaryFolder folder;
  const std::string message = message_of([&] {
    GgufWriter writer(folder.path() / "w.gguf", {}, {{"m", GgmlType::kF32, Shape{1, 2}}});
    writer.finish();
  });
  EXPECT_NE(message.find("w.gguf: m: was announced, but not written"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Gguf, TheWriterRefusesWhatNoReaderWouldTake) {
  const testing::TemporaryFolder folder;
  const auto refusal = [&](std::vector<GgufItem> items) {
    return message_of([&] { GgufWriter(folder.path() / "w.gguf", {}, std::move(items)); });
  };
  EXPECT_NE(refusal({{"m", GgmlType::kQ4_K, Shape{2, 128}}}).find("a multiple of 256 for Q4_K"), std::string::npos);
  EXPECT_NE(refusal({{"m", GgmlType::kF32, Shape{2}}, {"m", GgmlType::kF32, Shape{2}}}), "");
  EXPECT_NE(refusal({{"", GgmlType::kF32, Shape{2}}}), "");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

// Two or three parts of a model with one tensor each.
void write_part(const fs::path& path, uint16_t number, uint16_t count, int32_t tensors, const std::string& tensor) {
  write_gguf(path,
             {{"split.no", GgufValue::u16(number)},
              {"split.count", GgufValue::u16(count)},
              {"split.tensors.count", GgufValue::i32(tensors)},
              {"general.name", GgufValue::text("part " + std::to_string(number))}},
             {{{tensor, GgmlType::kF32, Shape{2, 2}}, testing::random_tensor(Shape{2, 2}, number)}});
}
struct Split {
  testing::TemporaryFolder folder;
  fs::path first = folder.path() / "m-Q4_0-00001-of-00002.gguf", second = folder.path() / "m-Q4_0-00002-of-00002.gguf";
  Split() {
    write_part(first, 0, 2, 2, "a");
    write_part(second, 1, 2, 2, "b");
  }
};

TEST(GgufSplit, AnyPartOpensAll) {
  const Split split;
  for (const fs::path& part : {split.first, split.second}) {
    const auto file = open_gguf(part);
    EXPECT_EQ(file->names(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(file->metadata("general.name"), "part 0");
    EXPECT_EQ(file->find("b")->file, split.second);
  }
  EXPECT_EQ(open_checkpoint(split.folder.path())->names().size(), 2u);
}

TEST(GgufSplit, AMissingPartIsNamed) {
  const Split split;
  fs::remove(split.second);
  const std::string message = message_of([&] { (void)open_gguf(split.first); });
  EXPECT_NE(message.find("part 2 of 2 is missing"), std::string::npos) << message;
  EXPECT_NE(message.find("m-Q4_0-00002-of-00002.gguf beside it"), std::string::npos) << message;
}

TEST(GgufSplit, PartsThatDisagreeAreRefused) {
  const auto refusal = [](auto damage) {
    const Split split;
    damage(split);
    return message_of([&] { (void)open_gguf(split.first); });
  };
  EXPECT_NE(refusal([](const Split& s) { write_part(s.second, 1, 3, 2, "b"); }).find("split.count: 3 (expected 2)"),
            std::string::npos);
  EXPECT_NE(refusal([](const Split& s) { write_part(s.second, 0, 2, 2, "b"); }).find("split.no: 0 (expected 1)"),
            std::string::npos);
  EXPECT_NE(refusal([](const Split& s) { write_part(s.second, 1, 2, 7, "b"); }).find("split.tensors.count: 7"),
            std::string::npos);
  EXPECT_NE(refusal([](const Split& s) { write_part(s.second, 1, 2, 2, "a"); }).find("a: is in m-Q4_0-00001"),
            std::string::npos);
  EXPECT_NE(refusal([](const Split& s) {
              write_gguf(s.second, {}, {{{"b", GgmlType::kF32, Shape{1}}, testing::random_tensor(Shape{1}, 1)}});
            }).find("split.count: is missing"),
            std::string::npos);
}

TEST(GgufSplit, APartUnderAnotherNameIsRefused) {
  const Split split;
  fs::rename(split.first, split.folder.path() / "whole.gguf");
  const std::string message = message_of([&] { (void)open_gguf(split.folder.path() / "whole.gguf"); });
  EXPECT_NE(message.find("split.count"), std::string::npos) << message;
  EXPECT_NE(message_of([&] { (void)open_gguf(split.folder.path() / "m-00003-of-00002.gguf"); }), "");
}

TEST(GgufReference, TagsAreTakenFromNames) {
  const std::pair<const char*, const char*> cases[] = {
      {"tiny-qwen3-Q4_K_M.gguf", "Q4_K_M"},
      {"flux1-dev-Q8_0.gguf", "Q8_0"},
      {"model.Q5_1.gguf", "Q5_1"},
      {"m-UD-Q2_K_XL-00001-of-00003.gguf", "UD-Q2_K_XL"},
      {"m.i1-IQ2_XXS.gguf", "IQ2_XXS"},
      {"model_q4_0.gguf", "q4_0"},
      {"gpt-oss-20b-mxfp4.gguf", "mxfp4"},
      {"x-BF16.gguf", "BF16"},
      {"qwen3-8b.gguf", ""},
      {"t5xxl-TQ1_0.gguf", "TQ1_0"},
  };
  for (const auto& [name, tag] : cases) EXPECT_EQ(gguf_tag(name), tag) << name;
}

void touch(const fs::path& path) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << "x";
}

TEST(GgufReference, AFolderWithATagGivesTheFileOfThatTag) {
  const testing::TemporaryFolder folder;
  const std::string at = folder.path().string();
  for (const char* name :
       {"m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"})
    touch(folder.path() / name);
  EXPECT_EQ(find_gguf(at + ":Q4_K_M").filename(), "m-Q4_K_M.gguf");
  EXPECT_EQ(find_gguf(at + ":q4_k_s").filename(), "m-Q4_K_S.gguf");
  EXPECT_EQ(find_gguf(at + ":Q8_0").filename(), "m-Q8_0-00001-of-00002.gguf");
  EXPECT_EQ(find_gguf(at + "/m-Q4_K_S.gguf").filename(), "m-Q4_K_S.gguf");
  const std::string wrong = message_of([&] { (void)find_gguf(at + ":Q5_0"); });
  EXPECT_NE(wrong.find("no GGUF model has the tag 'Q5_0' (expected one of Q4_K_M, Q4_K_S, Q8_0)"), std::string::npos)
      << wrong;
  const std::string several = message_of([&] { (void)find_gguf(at); });
  EXPECT_NE(several.find("several GGUF models: m-Q4_K_M.gguf, m-Q4_K_S.gguf"), std::string::npos) << several;
  EXPECT_NE(message_of([&] { (void)find_gguf(at + ":"); }).find("names no quantization"), std::string::npos);
  EXPECT_NE(message_of([&] { (void)find_gguf(at + "/m-Q4_K_S.gguf:Q4_0"); }).find("behind a file"), std::string::npos);
  EXPECT_NE(message_of([&] { (void)find_gguf(at + ":a:b"); }), "");
  EXPECT_NE(message_of([&] { (void)open_checkpoint(folder.path()); }).find("several GGUF models"), std::string::npos);
}

TEST(GgufReference, APathWithAColonIsTakenAsItIs) {
  const testing::TemporaryFolder folder;
  touch(folder.path() / "a:b" / "m-Q4_0.gguf");
  const std::string at = (folder.path() / "a:b").string();
  EXPECT_EQ(find_gguf(at).filename(), "m-Q4_0.gguf");
  EXPECT_EQ(find_gguf(at + ":Q4_0").filename(), "m-Q4_0.gguf");
  EXPECT_EQ(find_gguf(at + "/m-Q4_0.gguf").filename(), "m-Q4_0.gguf");
}

TEST(GgufReference, ARepositoryIsFoundInTheCacheOrSaysWhatToFetch) {
  const testing::TemporaryFolder home;
  ::setenv("HF_HOME", home.path().c_str(), 1);
  ::unsetenv("HF_HUB_CACHE");
  const std::string absent = message_of([] { (void)find_gguf("owner/repo-GGUF:Q4_0"); });
  EXPECT_NE(absent.find("`omni pull owner/repo-GGUF:Q4_0`"), std::string::npos) << absent;
  const fs::path repository = home.path() / "hub/models--owner--repo-GGUF";
  touch(repository / "snapshots/abc/m-Q4_0.gguf");
  touch(repository / "snapshots/abc/Q8_0/m-Q8_0-00001-of-00002.gguf");
  EXPECT_EQ(find_gguf("owner/repo-GGUF:Q4_0"), repository / "snapshots/abc/m-Q4_0.gguf");
  EXPECT_EQ(find_gguf("owner/repo-GGUF:q8_0"), repository / "snapshots/abc/Q8_0/m-Q8_0-00001-of-00002.gguf");
  EXPECT_EQ(find_gguf("owner/repo-GGUF/m-Q4_0.gguf"), repository / "snapshots/abc/m-Q4_0.gguf");
  touch(repository / "snapshots/def/m-Q4_0.gguf");
  EXPECT_NE(message_of([] { (void)find_gguf("owner/repo-GGUF:Q4_0"); }).find("2 revisions"), std::string::npos);
  fs::create_directories(repository / "refs");
  std::ofstream(repository / "refs/main") << "def\n";
  EXPECT_EQ(find_gguf("owner/repo-GGUF:Q4_0"), repository / "snapshots/def/m-Q4_0.gguf");
  std::ofstream(repository / "refs/main") << "../..";
  EXPECT_NE(message_of([] { (void)find_gguf("owner/repo-GGUF:Q4_0"); }).find("holds no revision"), std::string::npos);
  EXPECT_NE(message_of([] { (void)find_gguf("no-such-file.gguf"); }), "");
  ::unsetenv("HF_HOME");
}

TEST(Gguf, AFolderWithAModelInSafetensorsStaysOne) {
  const testing::TemporaryFolder folder;
  const Tensor values = testing::random_tensor(Shape{2, 2}, 1);
  write_gguf(folder.path() / "m.gguf", {}, {{{"g", GgmlType::kF32, Shape{2, 2}}, values}});
  write_safetensors(folder.path() / "other.safetensors", {{"o", values}});
  EXPECT_EQ(open_checkpoint(folder.path())->names(), std::vector<std::string>{"g"});
  write_safetensors(folder.path() / "model.safetensors", {{"s", values}});
  EXPECT_EQ(open_checkpoint(folder.path())->names(), std::vector<std::string>{"s"});
}

}  // namespace
}  // namespace omni
