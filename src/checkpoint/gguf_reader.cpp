#include "checkpoint/gguf_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "base/error.h"

namespace omni {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read as they lie in the file");

constexpr uint64_t kMaxItems = 1 << 24;  // of one array
constexpr uint64_t kMaxNameBytes = 4096;

std::string number(uint64_t value) {
  return std::to_string(value);
}

GgufType read_type(GgufReader& in, const std::string& what) {
  const auto type = in.scalar<uint32_t>(what);
  if (type > static_cast<uint32_t>(GgufType::kF64)) {
    throw Error(in.where(), what + ": value type " + number(type), "a value type of 0 to 12");
  }
  return static_cast<GgufType>(type);
}

// count values of type T as items of a list; wider lists keep them exactly.
template <class T, class Item>
std::vector<Item> read_numbers(GgufReader& in, uint64_t count, const std::string& what) {
  const std::byte* bytes = in.take(count * sizeof(T), what);
  std::vector<Item> items(static_cast<size_t>(count));
  for (size_t i = 0; i < items.size(); ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    items[i] = static_cast<Item>(value);
  }
  return items;
}

std::vector<int64_t> read_bools(GgufReader& in, uint64_t count, const std::string& what) {
  std::vector<int64_t> items = read_numbers<uint8_t, int64_t>(in, count, what);
  for (const int64_t item : items) {
    if (item > 1) throw Error(in.where(), what + ": a bool of " + std::to_string(item), "0 or 1");
  }
  return items;
}

std::vector<std::string> read_texts(GgufReader& in, uint64_t count, const std::string& what) {
  std::vector<std::string> items;  // grows with what is really there
  for (uint64_t i = 0; i < count; ++i) items.emplace_back(in.text(what));
  return items;
}

GgufValue read_items(GgufReader& in, GgufType type, uint64_t count, const std::string& what) {
  GgufValue value{type, false, {}};
  switch (type) {
    case GgufType::kU8:
      value.items = read_numbers<uint8_t, int64_t>(in, count, what);
      break;
    case GgufType::kI8:
      value.items = read_numbers<int8_t, int64_t>(in, count, what);
      break;
    case GgufType::kU16:
      value.items = read_numbers<uint16_t, int64_t>(in, count, what);
      break;
    case GgufType::kI16:
      value.items = read_numbers<int16_t, int64_t>(in, count, what);
      break;
    case GgufType::kU32:
      value.items = read_numbers<uint32_t, int64_t>(in, count, what);
      break;
    case GgufType::kI32:
      value.items = read_numbers<int32_t, int64_t>(in, count, what);
      break;
    case GgufType::kU64:
      value.items = read_numbers<uint64_t, int64_t>(in, count, what);
      break;
    case GgufType::kI64:
      value.items = read_numbers<int64_t, int64_t>(in, count, what);
      break;
    case GgufType::kF32:
      value.items = read_numbers<float, double>(in, count, what);
      break;
    case GgufType::kF64:
      value.items = read_numbers<double, double>(in, count, what);
      break;
    case GgufType::kBool:
      value.items = read_bools(in, count, what);
      break;
    case GgufType::kString:
      value.items = read_texts(in, count, what);
      break;
    case GgufType::kArray:
      throw Error(in.where(), what + ": an array of arrays", "an array of a plain value type");
  }
  return value;
}

}  // namespace

GgufValue GgufReader::value(const std::string& what) {
  GgufReader& in = *this;
  const GgufType type = read_type(in, what);
  if (type != GgufType::kArray) return read_items(in, type, 1, what);
  const GgufType element = read_type(in, what + ": its elements");
  const auto count = in.scalar<uint64_t>(what);
  const auto least = static_cast<uint64_t>(std::max(gguf_type_bytes(element), 1));
  const uint64_t each = element == GgufType::kString ? sizeof(uint64_t) : least;
  if (element != GgufType::kArray && count > std::min(in.left() / each, kMaxItems)) {
    throw Error(in.where(), what + ": an array count of " + number(count),
                "an array that fits in the " + number(in.left()) + " bytes that are left of the file, of at most " +
                    number(kMaxItems) + " values");
  }
  GgufValue value = read_items(in, element, count, what);
  value.is_array = true;
  return value;
}

const std::byte* GgufReader::take(uint64_t bytes, const std::string& what) {
  if (bytes > left()) {
    throw Error(where_, what + ": the file of " + number(size()) + " bytes ends inside it", "the whole of it");
  }
  const std::byte* start = file_.data() + at_;
  at_ += static_cast<size_t>(bytes);
  return start;
}

std::string_view GgufReader::text(const std::string& what) {
  const auto length = scalar<uint64_t>(what);
  if (length > left()) {
    throw Error(where_, what + ": a string length of " + number(length),
                "a string that fits in the " + number(left()) + " bytes that are left of the file");
  }
  return {reinterpret_cast<const char*>(take(length, what)), static_cast<size_t>(length)};
}

std::string GgufReader::name(const std::string& what) {
  const std::string_view name = text(what);
  if (name.empty()) throw Error(where_, what + " is empty", "names of at least one character");
  if (name.size() > kMaxNameBytes) {
    throw Error(where_, what + " is " + number(name.size()) + " bytes long", "at most 4096");
  }
  if (!simdjson::validate_utf8(name)) throw Error(where_, what + " is not UTF-8", "names in UTF-8");
  return std::string(name);
}

}  // namespace omni
