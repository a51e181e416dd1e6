#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "support/support.h"

namespace omni {
namespace {

using nlohmann::json;

std::string refusal(const std::filesystem::path& path) {
  try {
    (void)open_safetensors(path);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Damaged, EveryFileOfTheManifestIsRefusedNamingFileAndTensor) {
  const std::filesystem::path folder = testing::golden("damaged");
  const json manifest = parse_json(read_file(folder / "manifest.json", 1 << 20), "manifest");
  ASSERT_GE(manifest.size(), 25u);
  for (const json& item : manifest) {
    const auto file = item.at("file").get<std::string>();
    const std::string message = refusal(folder / file);
    EXPECT_FALSE(message.empty()) << file << " was opened: " << item.at("what");
    EXPECT_NE(message.find(file), std::string::npos) << message;
    if (!item.at("tensor").is_null()) {
      EXPECT_NE(message.find(item.at("tensor").get<std::string>()), std::string::npos) << file << ": " << message;
    }
  }
}

TEST(Damaged, AHeaderNested50000DeepIsRefusedNamingTheTensor) {
  std::string json = "{\"a\":" + std::string(50000, '[') + std::string(50000, ']') + "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(json.size() >> (8 * i)));
  const testing::TemporaryFolder folder;
  write_file_whole(folder.path() / "deep.safetensors", bytes + json);
  const std::string message = refusal(folder.path() / "deep.safetensors");
  EXPECT_NE(message.find("deep.safetensors: a: "), std::string::npos) << message;
}

TEST(Damaged, ReadingAtTheEndOfAHeaderThatFillsAPageIsSafe) {
  std::string bytes(4096, ' ');
  bytes.replace(0, 8, std::string("\xf8\x0f\0\0\0\0\0\0", 8));
  bytes[8] = '{';
  const testing::TemporaryFolder folder;
  write_file_whole(folder.path() / "page.safetensors", bytes);
  EXPECT_NE(refusal(folder.path() / "page.safetensors"), "");
}

// Every byte of a foreign file may be wrong: it opens (and then every tensor can be read) or throws Error.
TEST(Damaged, FlippedAndCutFilesOpenOrThrowError) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path good = folder.path() / "good.safetensors", bad = folder.path() / "bad.safetensors";
  Tensor half(DType::kBF16, Shape{3, 5});
  std::fill_n(half.data<uint16_t>(), 15, uint16_t{0x3f80});
  write_safetensors(good, {{"a.weight", testing::random_tensor(Shape{4, 4}, 1)}, {"b.bias", half}}, {{"format", "pt"}});
  const std::string bytes = read_file(good, 1 << 20);
  std::mt19937 random(7);
  int opened = 0, refused = 0;
  for (int variant = 0; variant < 2000; ++variant) {
    std::string changed = bytes;
    const uint32_t flips = random() % 4;
    // Mostly the header: that is where a flip can lie.
    for (uint32_t i = 0; i < flips; ++i) changed[random() % 200] = static_cast<char>(random());
    if (flips == 0) changed.resize(random() % changed.size());
    write_file_whole(bad, changed);
    try {
      const auto checkpoint = open_safetensors(bad);
      for (const std::string& name : checkpoint->names()) (void)to_f32(checkpoint->tensor(name));
      ++opened;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_EQ(opened + refused, 2000);
  EXPECT_GT(refused, 1000) << "flips in the header must mostly be noticed";
}

}  // namespace
}  // namespace omni
