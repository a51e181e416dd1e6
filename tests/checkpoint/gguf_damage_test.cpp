#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <optional>
#include <span>

#include "base/error.h"
#include "checkpoint/gguf_header.h"

namespace omni {
namespace {

template <class T>
std::string raw(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}
std::string text(std::string_view value) {
  return raw(static_cast<uint64_t>(value.size())) + std::string(value);
}

// A GGUF file whose every part may be broken; as it stands it is sound.
struct FileParts {
  struct Item {
    std::string name;
    std::vector<uint64_t> dims;  // innermost first, as in the file
    uint32_t type = 0;
    uint64_t offset = 0;
  };
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count, key_count;
  std::vector<std::string> keys = {
      text("general.architecture") + raw(uint32_t{8}) + text("llama"),
      text("a.list") + raw(uint32_t{9}) + raw(uint32_t{5}) + raw(uint64_t{2}) + raw(int32_t{1}) + raw(int32_t{2})};
  // q: 2 rows of 32 Q8_0 values, 68 bytes; k: 3 f32 values; n: 8 f32 values
  std::vector<Item> items = {{"q", {32, 2}, 8, 0}, {"k", {3}, 0, 96}, {"n", {4, 2}, 0, 128}};
  uint64_t alignment = 32;
  size_t data_bytes = 160;

  std::string header() const {
    std::string out =
        magic + raw(version) + raw(tensor_count.value_or(items.size())) + raw(key_count.value_or(keys.size()));
    for (const std::string& key : keys) out += key;
    for (const Item& item : items) {
      out += text(item.name) + raw(static_cast<uint32_t>(item.dims.size()));
      for (const uint64_t dim : item.dims) out += raw(dim);
      out += raw(item.type) + raw(item.offset);
    }
    return out;
  }
  std::string bytes() const {
    std::string out = header();
    out.append((alignment - out.size() % alignment) % alignment, '\0');
    return out + std::string(data_bytes, '\0');
  }
};

GgufHeader parse(const std::string& bytes) {
  return parse_gguf_header(std::as_bytes(std::span(bytes)), "x.gguf");
}
std::string refusal(const std::string& bytes) {
  try {
    (void)parse(bytes);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(GgufDamage, TheFileThatIsBrokenBelowIsSound) {
  const GgufHeader header = parse(FileParts().bytes());
  EXPECT_EQ(header.items.at("q").shape, (Shape{2, 32}));
  EXPECT_EQ(header.items.at("n").begin, header.items.at("q").begin + 128);
  EXPECT_EQ(header.metadata.at("a.list").print(), "[2 x i32]");
}

TEST(GgufDamage, Version2AndOtherAlignmentsAreSound) {
  FileParts file;
  file.version = 2;
  EXPECT_EQ(refusal(file.bytes()), "");
  file.keys.push_back(text("general.alignment") + raw(uint32_t{4}) + raw(uint32_t{64}));
  file.alignment = 64;
  file.items = {{"q", {32, 2}, 8, 0}, {"k", {3}, 0, 128}};
  file.data_bytes = 140;  // the padding behind the last tensor may be left out
  EXPECT_EQ(refusal(file.bytes()), "");
  file.items.clear();
  file.data_bytes = 0;
  EXPECT_EQ(refusal(file.bytes()), "") << "only a vocabulary";
}

struct Damage {
  std::string what;
  std::function<void(FileParts&)> apply;
  std::vector<std::string> says;
};

std::string scalar(std::string_view key, uint32_t type, const std::string& value) {
  return text(key) + raw(type) + value;
}
std::string array(std::string_view key, uint32_t element, uint64_t count, const std::string& values) {
  return text(key) + raw(uint32_t{9}) + raw(element) + raw(count) + values;
}

std::vector<Damage> header_damages() {
  const auto key = [](std::string bytes) {
    return [bytes = std::move(bytes)](FileParts& f) { f.keys.push_back(bytes); };
  };
  return {
      {"magic", [](FileParts& f) { f.magic = "GGML"; }, {"GGML", "the bytes GGUF"}},
      {"magic of no letters", [](FileParts& f) { f.magic = std::string(4, '\1'); }, {"the bytes GGUF"}},
      {"version 1", [](FileParts& f) { f.version = 1; }, {"version 1", "version 2 or 3"}},
      {"version 4", [](FileParts& f) { f.version = 4; }, {"version 4", "version 2 or 3"}},
      {"version 0", [](FileParts& f) { f.version = 0; }, {"version 0", "version 2 or 3"}},
      {"big-endian", [](FileParts& f) { f.version = 0x03000000; }, {"50331648", "big-endian"}},
      {"tensors", [](FileParts& f) { f.tensor_count = uint64_t{1} << 40; }, {"a tensor count of 1099511627776"}},
      {"all tensors", [](FileParts& f) { f.tensor_count = UINT64_MAX; }, {"a tensor count of 18446744073709551615"}},
      {"one tensor more", [](FileParts& f) { f.tensor_count = 4; }, {"tensor 4 of 4"}},
      {"keys", [](FileParts& f) { f.key_count = uint64_t{1} << 60; }, {"a key-value count of 1152921504606846976"}},
      {"one key more", [](FileParts& f) { f.key_count = 3; }, {"x.gguf: "}},
      {"one key less", [](FileParts& f) { f.key_count = 1; }, {"x.gguf"}},
      {"string length",
       key(text("a.s") + raw(uint32_t{8}) + raw(uint64_t{1} << 60)),
       {"a.s", "a string length of 1152921504606846976", "fits in the"}},
      {"key length", key(raw(uint64_t{1} << 62)), {"key-value 3 of 3", "a string length of 4611686018427387904"}},
      {"key empty", key(text("") + raw(uint32_t{4}) + raw(uint32_t{1})), {"is empty"}},
      {"key long", key(text(std::string(5000, 'k')) + raw(uint32_t{4}) + raw(uint32_t{1})), {"5000 bytes long"}},
      {"key no UTF-8", key(scalar("a.\xff", 4, raw(uint32_t{1}))), {"not UTF-8"}},
      {"key twice", key(scalar("a.list", 4, raw(uint32_t{1}))), {"a.list", "stands twice"}},
      {"value type", key(scalar("a.x", 13, raw(uint32_t{1}))), {"a.x", "value type 13", "0 to 12"}},
      {"bool of 2", key(scalar("a.x", 7, raw(uint8_t{2}))), {"a.x", "a bool of 2", "0 or 1"}},
      {"bools", key(array("a.x", 7, 2, std::string("\1\7"))), {"a.x", "a bool of 7"}},
      {"array count", key(array("a.x", 6, uint64_t{1} << 60, "")), {"a.x", "an array count of 1152921504606846976"}},
      {"array wraps", key(array("a.x", 6, (uint64_t{1} << 62) + 1, "")), {"a.x", "an array count of 46116860184273"}},
      {"array of strings", key(array("a.x", 8, 60, "")), {"a.x"}},
      {"array of arrays", key(array("a.x", 9, 1, raw(uint32_t{9}) + raw(uint64_t{0}))), {"a.x", "an array of arrays"}},
      {"array of no type", key(array("a.x", 99, 1, "")), {"a.x", "value type 99"}},
      {"alignment 0", key(scalar("general.alignment", 4, raw(uint32_t{0}))), {"general.alignment 0", "power of two"}},
      {"alignment 24", key(scalar("general.alignment", 4, raw(uint32_t{24}))), {"general.alignment 24"}},
      {"alignment text", key(scalar("general.alignment", 8, text("32"))), {"general.alignment 32", "power of two"}},
      {"alignment -32", key(scalar("general.alignment", 5, raw(int32_t{-32}))), {"general.alignment -32"}},
      {"alignment huge", key(scalar("general.alignment", 10, raw(uint64_t{1} << 63))), {"general.alignment"}},
  };
}

std::vector<Damage> tensor_damages() {
  const uint64_t huge = uint64_t{1} << 60;
  return {
      {"name twice", [](FileParts& f) { f.items[1].name = "q"; }, {"q: ", "stands twice"}},
      {"name empty", [](FileParts& f) { f.items[1].name = ""; }, {"tensor 2 of 3", "is empty"}},
      {"name no UTF-8", [](FileParts& f) { f.items[1].name = "k\xc0"; }, {"tensor 2 of 3", "not UTF-8"}},
      {"no dimensions", [](FileParts& f) { f.items[1].dims = {}; }, {"k: ", "0 dimensions", "1 to 4"}},
      {"9 dimensions", [](FileParts& f) { f.items[1].dims.assign(9, 1); }, {"k: ", "9 dimensions", "1 to 4"}},
      {"a dimension of 0",
       [](FileParts& f) {
         f.items[2].dims = {4, 0};
       },
       {"n: ", "[4, 0]", "at least 1"}},
      {"product",
       [=](FileParts& f) {
         f.items[0].dims = {32, huge + 16, 16};
       },
       {"q: ", "[32, 1152921504606846992, 16]"}},
      {"2^63", [](FileParts& f) { f.items[1].dims = {uint64_t{1} << 63}; }, {"k: ", "63 bits"}},
      {"all bits", [](FileParts& f) { f.items[1].dims = {UINT64_MAX}; }, {"k: ", "63 bits"}},
      {"bytes wrap", [=](FileParts& f) { f.items[1].dims = {huge * 4}; }, {"k: ", "63 bits"}},
      {"larger than the file", [=](FileParts& f) { f.items[2].dims = {huge}; }, {"n: ", "data within the"}},
      {"row of blocks",
       [](FileParts& f) {
         f.items[0].dims = {40, 2};
       },
       {"q: ", "[40, 2]", "a multiple of 32 for Q8_0"}},
      {"type 999", [](FileParts& f) { f.items[0].type = 999; }, {"q: ", "type 999", "a known ggml type"}},
      {"type -1", [](FileParts& f) { f.items[0].type = UINT32_MAX; }, {"q: ", "type 4294967295"}},
      {"type removed", [](FileParts& f) { f.items[0].type = 31; }, {"q: ", "Q4_0_4_4", "removed"}},
      {"type of activations", [](FileParts& f) { f.items[0].type = 9; }, {"q: ", "Q8_1"}},
      {"offset unaligned", [](FileParts& f) { f.items[1].offset = 100; }, {"k: ", "offset 100", "a multiple of 32"}},
      {"offset past the end", [](FileParts& f) { f.items[2].offset = 1 << 20; }, {"n: ", "offset 1048576", "within"}},
      {"offset wraps", [](FileParts& f) { f.items[2].offset = UINT64_MAX - 31; }, {"n: ", "data within the"}},
      {"overlap", [](FileParts& f) { f.items[1].offset = 64; }, {"k: ", "offset 64 overlaps q", "offset 96"}},
      {"same place", [](FileParts& f) { f.items[1].offset = 0; }, {"overlaps"}},
      {"hole", [](FileParts& f) { f.items[2].offset = 160, f.data_bytes = 192; }, {"n: ", "a hole after k", "128"}},
      {"hole at the start", [](FileParts& f) { f.items.erase(f.items.begin()); }, {"k: ", "a hole after the header"}},
      {"data cut", [](FileParts& f) { f.data_bytes = 159; }, {"n: ", "offset 128", "it is cut"}},
      {"no data", [](FileParts& f) { f.data_bytes = 0; }, {"data within the"}},
      {"bytes behind", [](FileParts& f) { f.data_bytes = 161; }, {"1 bytes behind the last tensor n"}},
  };
}

void expect_refused(const std::vector<Damage>& damages) {
  for (const Damage& damage : damages) {
    FileParts file;
    damage.apply(file);
    const std::string message = refusal(file.bytes());
    EXPECT_TRUE(message.starts_with("x.gguf")) << damage.what << ": " << message;
    for (const std::string& word : damage.says) {
      EXPECT_NE(message.find(word), std::string::npos) << damage.what << " should say '" << word << "': " << message;
    }
  }
}

TEST(GgufDamage, AHeaderThatLiesIsRefusedNamingTheKey) {
  expect_refused(header_damages());
}

TEST(GgufDamage, ATensorThatLiesIsRefusedByName) {
  expect_refused(tensor_damages());
}

TEST(GgufDamage, EveryTruncationIsRefused) {
  const std::string bytes = FileParts().bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(refusal(bytes.substr(0, size)), "") << "cut to " << size << " of " << bytes.size() << " bytes";
  }
}

TEST(GgufDamage, AnyByteThatChangesIsReadOrRefusedNeverACrash) {
  const std::string bytes = FileParts().bytes();
  const size_t header = FileParts().header().size();
  for (size_t at = 0; at < header; ++at) {
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string broken = bytes;
      broken[at] = static_cast<char>(value);
      (void)refusal(broken);
    }
  }
}

}  // namespace
}  // namespace omni
