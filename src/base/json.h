#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// A read-only JSON object from a foreign file whose errors name the file and the key: `FILE: KEY: what (expected ...)`.
// Cheap to copy; keeps the document alive. Limits: 64 MiB, 64 levels, no duplicate keys.
class JsonObject {
 public:
  static JsonObject parse(std::string_view text, std::string where);
  static JsonObject load(const std::filesystem::path& path);

  const std::string& where() const { return where_; }
  bool has(std::string_view key) const;  // present and not null
  std::vector<std::string> keys() const;

  // Each throws Error when the key is missing, null or of another type (the _or forms: of another type).
  int64_t integer(std::string_view key) const;
  int64_t integer_or(std::string_view key, int64_t otherwise) const;
  // An integer within [low, high]; configs of foreign models use this for every size.
  int64_t size(std::string_view key, int64_t low, int64_t high) const;
  double number(std::string_view key) const;
  double number_or(std::string_view key, double otherwise) const;
  std::string string(std::string_view key) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;
  JsonObject object(std::string_view key) const;

  // The value itself, for code that walks JSON of any shape.
  const nlohmann::json& value() const { return *value_; }

 private:
  JsonObject(std::shared_ptr<const nlohmann::json> value, std::string where);
  const nlohmann::json& at(std::string_view key, std::string_view expected) const;
  std::shared_ptr<const nlohmann::json> value_;
  std::string where_;
};

// Parses text of a foreign file with the limits above. Throws Error naming where and the byte.
nlohmann::json parse_json(std::string_view text, const std::string& where);

}  // namespace omni
