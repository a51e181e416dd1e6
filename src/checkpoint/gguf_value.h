#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace omni {

// The value types of GGUF's metadata, by their numbers.
enum class GgufType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
std::string_view gguf_type_name(GgufType type);  // "u32", "string"
int gguf_type_bytes(GgufType type);              // of one number or bool; 0 for strings and arrays

// One value of a file's metadata: a number, a truth value, a text, or an array of one of these. A value.
struct GgufValue {
  GgufType type = GgufType::kU32;  // of an array: of its elements
  bool is_array = false;
  // One item unless an array. Integers and bools; floats; texts. A u64 of 2^63 or more lies here as its bits.
  std::variant<std::vector<int64_t>, std::vector<double>, std::vector<std::string>> items;

  static GgufValue u16(uint16_t value);
  static GgufValue u32(uint32_t value);
  static GgufValue i32(int32_t value);
  static GgufValue u64(uint64_t value);
  static GgufValue f32(float value);
  static GgufValue boolean(bool value);
  static GgufValue text(std::string value);
  static GgufValue i32s(std::vector<int64_t> values);
  static GgufValue f32s(std::vector<double> values);
  static GgufValue texts(std::vector<std::string> values);

  bool operator==(const GgufValue&) const = default;
  size_t count() const;
  std::string kind() const;   // for messages: "u32", "array of string"
  std::string print() const;  // a scalar as text ("true", "0.1", the string itself); an array as "[3 x i32]"
};

}  // namespace omni
