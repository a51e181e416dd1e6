#include "base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace omni {
namespace {

std::string message(const std::string& text, void (*use)(const JsonObject&)) {
  try {
    use(JsonObject::parse(text, "file.json"));
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Json, ReadsWhatIsThere) {
  const JsonObject o = JsonObject::parse(
      R"({"i": 3, "d": 2.5, "s": "x", "b": true, "n": null, "l": [1, 2], "o": {"deep": 7}})", "file.json");
  EXPECT_EQ(o.integer("i"), 3);
  EXPECT_EQ(o.number("d"), 2.5);
  EXPECT_EQ(o.number("i"), 3.0);
  EXPECT_EQ(o.string("s"), "x");
  EXPECT_TRUE(o.boolean_or("b", false));
  EXPECT_FALSE(o.has("n"));
  EXPECT_EQ(o.integer_or("n", 9), 9);
  EXPECT_EQ(o.integers("l"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(o.object("o").integer("deep"), 7);
}

TEST(Json, ErrorsNameFileKeyValueAndWhatWasExpected) {
  EXPECT_EQ(message("{}", [](const JsonObject& o) { (void)o.integer("n"); }),
            "file.json: n: is missing (expected an integer)");
  EXPECT_EQ(message(R"({"n": "four"})", [](const JsonObject& o) { (void)o.integer("n"); }),
            "file.json: n: is \"four\" (expected an integer)");
  EXPECT_EQ(message(R"({"n": 0})", [](const JsonObject& o) { (void)o.size("n", 1, 8); }),
            "file.json: n: is 0 (expected 1 to 8)");
  EXPECT_EQ(message(R"({"o": {"n": null}})", [](const JsonObject& o) { (void)o.object("o").string("n"); }),
            "file.json: o: n: is null (expected a string)");
  EXPECT_NE(message("[1]", [](const JsonObject&) {}).find("is a JSON array"), std::string::npos);
  EXPECT_NE(message("{\"a\": 1,}", [](const JsonObject&) {}).find("not JSON at byte"), std::string::npos);
  EXPECT_NE(message(R"({"a": 1, "a": 2})", [](const JsonObject&) {}).find("'a' stands twice"), std::string::npos);
  EXPECT_NE(
      message(R"({"n": 18446744073709551615})", [](const JsonObject& o) { (void)o.integer("n"); }).find("64 bits"),
      std::string::npos);
}

TEST(Json, DeepNestingIsRefusedBeforeItIsParsed) {
  EXPECT_NE(message(std::string(100000, '['), [](const JsonObject&) {}).find("nested deeper"), std::string::npos);
  EXPECT_NE(message("{\"a\":" + std::string(100000, '['), [](const JsonObject&) {}).find("nested deeper"),
            std::string::npos);
  EXPECT_EQ(message("{\"a\": \"" + std::string(1000, '[') + "\"}", [](const JsonObject& o) { (void)o.string("a"); }),
            "");
}

TEST(Json, ANumberBeyondDoublesIsAnError) {
  for (const char* text : {"1e999", "{\"a\": [-7770e7000]}"}) EXPECT_THROW(parse_json(text, "x.json"), Error) << text;
}

}  // namespace
}  // namespace omni
