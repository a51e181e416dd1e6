#include "checkpoint/gguf_value.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace omni {
namespace {

struct TypeRow {
  std::string_view name;
  int bytes;
};
constexpr std::array kTypes = {
    TypeRow{"u8", 1},  TypeRow{"i8", 1},  TypeRow{"u16", 2},  TypeRow{"i16", 2},    TypeRow{"u32", 4},
    TypeRow{"i32", 4}, TypeRow{"f32", 4}, TypeRow{"bool", 1}, TypeRow{"string", 0}, TypeRow{"array", 0},
    TypeRow{"u64", 8}, TypeRow{"i64", 8}, TypeRow{"f64", 8},
};

GgufValue integer(GgufType type, int64_t value) {
  return {type, false, std::vector<int64_t>{value}};
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  return kTypes[static_cast<size_t>(type)].name;
}

int gguf_type_bytes(GgufType type) {
  return kTypes[static_cast<size_t>(type)].bytes;
}

GgufValue GgufValue::u16(uint16_t value) {
  return integer(GgufType::kU16, value);
}
GgufValue GgufValue::u32(uint32_t value) {
  return integer(GgufType::kU32, value);
}
GgufValue GgufValue::i32(int32_t value) {
  return integer(GgufType::kI32, value);
}
GgufValue GgufValue::u64(uint64_t value) {
  return integer(GgufType::kU64, static_cast<int64_t>(value));
}
GgufValue GgufValue::f32(float value) {
  return {GgufType::kF32, false, std::vector<double>{value}};
}
GgufValue GgufValue::boolean(bool value) {
  return integer(GgufType::kBool, value ? 1 : 0);
}
GgufValue GgufValue::text(std::string value) {
  return {GgufType::kString, false, std::vector<std::string>{std::move(value)}};
}
GgufValue GgufValue::i32s(std::vector<int64_t> values) {
  return {GgufType::kI32, true, std::move(values)};
}
GgufValue GgufValue::f32s(std::vector<double> values) {
  return {GgufType::kF32, true, std::move(values)};
}
GgufValue GgufValue::texts(std::vector<std::string> values) {
  return {GgufType::kString, true, std::move(values)};
}

size_t GgufValue::count() const {
  return std::visit([](const auto& list) { return list.size(); }, items);
}

std::string GgufValue::kind() const {
  return (is_array ? "array of " : "") + std::string(gguf_type_name(type));
}

std::string GgufValue::print() const {
  if (is_array) return fmt::format("[{} x {}]", count(), gguf_type_name(type));
  if (const auto* texts = std::get_if<std::vector<std::string>>(&items)) return texts->at(0);
  if (const auto* floats = std::get_if<std::vector<double>>(&items)) {
    return type == GgufType::kF32 ? fmt::format("{}", static_cast<float>(floats->at(0)))
                                  : fmt::format("{}", floats->at(0));
  }
  const int64_t value = std::get<std::vector<int64_t>>(items).at(0);
  if (type == GgufType::kBool) return value != 0 ? "true" : "false";
  return type == GgufType::kU64 ? fmt::format("{}", static_cast<uint64_t>(value)) : fmt::format("{}", value);
}

}  // namespace omni
