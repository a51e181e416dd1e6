#include "base/json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace omni {
namespace {

constexpr size_t kMaxBytes = size_t{64} << 20;
constexpr size_t kMaxDepth = 64;

// Depth is checked before parsing: the parser recurses when it destroys what it built.
void check_depth(std::string_view text, const std::string& where) {
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) throw Error(where, "JSON nested deeper than 64 levels at byte " + std::to_string(i));
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  if (text.size() > kMaxBytes)
    throw Error(where, "JSON of " + std::to_string(text.size()) + " bytes", "at most 64 MiB");
  check_depth(text, where);
  std::vector<std::set<std::string>> open;
  std::string twice;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) open.emplace_back();
    if (event == Event::object_end) open.pop_back();
    if (event == Event::key && !open.back().insert(parsed.get<std::string>()).second) twice = parsed.get<std::string>();
    return true;
  };
  try {
    nlohmann::json value = nlohmann::json::parse(text, watch);
    if (!twice.empty()) throw Error(where, "the key '" + twice + "' stands twice in one object");
    return value;
  } catch (const nlohmann::json::parse_error& e) {
    throw Error(where, "is not JSON at byte " + std::to_string(e.byte), "a JSON document");
  } catch (const nlohmann::json::out_of_range&) {
    throw Error(where, "holds a number that no double can", "numbers of at most 1.8e308");
  }
}

JsonObject::JsonObject(std::shared_ptr<const nlohmann::json> value, std::string where)
    : value_(std::move(value)), where_(std::move(where)) {
  if (!value_->is_object()) throw Error(where_, std::string("is a JSON ") + value_->type_name(), "an object");
}

JsonObject JsonObject::parse(std::string_view text, std::string where) {
  auto value = std::make_shared<const nlohmann::json>(parse_json(text, where));
  return JsonObject(std::move(value), std::move(where));
}

JsonObject JsonObject::load(const std::filesystem::path& path) {
  return parse(read_file(path, kMaxBytes), path.string());
}

bool JsonObject::has(std::string_view key) const {
  const auto it = value_->find(key);
  return it != value_->end() && !it->is_null();
}

std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> names;
  for (const auto& item : value_->items()) names.push_back(item.key());
  return names;
}

const nlohmann::json& JsonObject::at(std::string_view key, std::string_view expected) const {
  const auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) {
    throw Error(where_ + ": " + std::string(key), it == value_->end() ? "is missing" : "is null",
                std::string(expected));
  }
  return *it;
}

namespace {
[[noreturn]] void wrong(const std::string& where, std::string_view key, const nlohmann::json& value,
                        std::string_view expected) {
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw Error(where + ": " + std::string(key), "is " + text, std::string(expected));
}
}  // namespace

int64_t JsonObject::integer(std::string_view key) const {
  const nlohmann::json& v = at(key, "an integer");
  if (!v.is_number_integer()) wrong(where_, key, v, "an integer");
  if (v.is_number_unsigned() && v.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    wrong(where_, key, v, "an integer of 64 bits");
  return v.get<int64_t>();
}

int64_t JsonObject::integer_or(std::string_view key, int64_t otherwise) const {
  return has(key) ? integer(key) : otherwise;
}

int64_t JsonObject::size(std::string_view key, int64_t low, int64_t high) const {
  const int64_t v = integer(key);
  if (v < low || v > high) {
    throw Error(where_ + ": " + std::string(key), "is " + std::to_string(v),
                std::to_string(low) + " to " + std::to_string(high));
  }
  return v;
}

double JsonObject::number(std::string_view key) const {
  const nlohmann::json& v = at(key, "a number");
  if (!v.is_number()) wrong(where_, key, v, "a number");
  return v.get<double>();
}

double JsonObject::number_or(std::string_view key, double otherwise) const {
  return has(key) ? number(key) : otherwise;
}

std::string JsonObject::string(std::string_view key) const {
  const nlohmann::json& v = at(key, "a string");
  if (!v.is_string()) wrong(where_, key, v, "a string");
  return v.get<std::string>();
}

std::string JsonObject::string_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? string(key) : std::string(otherwise);
}

bool JsonObject::boolean_or(std::string_view key, bool otherwise) const {
  if (!has(key)) return otherwise;
  const nlohmann::json& v = at(key, "true or false");
  if (!v.is_boolean()) wrong(where_, key, v, "true or false");
  return v.get<bool>();
}

std::vector<int64_t> JsonObject::integers(std::string_view key) const {
  const nlohmann::json& v = at(key, "a list of integers");
  if (!v.is_array()) wrong(where_, key, v, "a list of integers");
  std::vector<int64_t> out;
  for (const nlohmann::json& item : v) {
    if (!item.is_number_integer()) wrong(where_, key, v, "a list of integers");
    out.push_back(item.get<int64_t>());
  }
  return out;
}

std::vector<std::string> JsonObject::strings(std::string_view key) const {
  const nlohmann::json& v = at(key, "a list of strings");
  if (!v.is_array()) wrong(where_, key, v, "a list of strings");
  std::vector<std::string> out;
  for (const nlohmann::json& item : v) {
    if (!item.is_string()) wrong(where_, key, v, "a list of strings");
    out.push_back(item.get<std::string>());
  }
  return out;
}

JsonObject JsonObject::object(std::string_view key) const {
  const nlohmann::json& v = at(key, "an object");
  return JsonObject(std::shared_ptr<const nlohmann::json>(value_, &v), where_ + ": " + std::string(key));
}

}  // namespace omni
