#include "checkpoint/gguf_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/gguf_reader.h"
#include "checkpoint/safetensors.h"

namespace omni {
namespace {

constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 20;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMaxDims = 4;
// The least bytes that one entry takes: a name's length and one byte, a type, and what follows.
constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

std::string number(uint64_t value) {
  return std::to_string(value);
}

void check_version(GgufReader& in) {
  const std::byte* magic = in.take(4, "the magic");
  if (std::memcmp(magic, "GGUF", 4) != 0) {
    const std::string_view found(reinterpret_cast<const char*>(magic), 4);
    const bool printable = std::ranges::all_of(found, [](char c) { return c >= 0x20 && c < 0x7f; });
    throw Error(
        in.where(),
        "begins with the bytes " + (printable ? std::string(found) : fmt::format("{:02x}", fmt::join(found, " "))),
        "the bytes GGUF");
  }
  const auto version = in.scalar<uint32_t>("the version");
  if (version == 2 || version == 3) return;
  const uint32_t swapped = __builtin_bswap32(version);
  const bool big_endian = swapped >= 1 && swapped <= 3;
  throw Error(
      in.where(),
      "version " + number(version) + (big_endian ? " (" + number(swapped) + " byte-swapped: a big-endian file)" : ""),
      "version 2 or 3, little-endian");
}

uint64_t read_count(GgufReader& in, const std::string& what, uint64_t least_bytes, uint64_t most) {
  const auto count = in.scalar<uint64_t>("the " + what + " count");
  const uint64_t fits = std::min(in.left() / least_bytes, most);
  if (count > fits) {
    throw Error(in.where(), "a " + what + " count of " + number(count),
                "as many as the file can hold, at most " + number(fits));
  }
  return count;
}

// A tensor's entry; begin is relative to the data here.
GgufHeader::Item read_tensor(GgufReader& in, const std::string& name) {
  const std::string where = in.where() + ": " + name;
  const auto rank = in.scalar<uint32_t>(name);
  if (rank < 1 || rank > kMaxDims) throw Error(where, number(rank) + " dimensions", "1 to 4 dimensions");
  std::vector<int64_t> extents(rank);
  std::string dims = "dimensions [";
  bool fits = true, positive = true;
  int64_t count = 1;
  for (uint32_t i = 0; i < rank; ++i) {  // innermost first
    const auto extent = in.scalar<uint64_t>(name);
    dims += (i == 0 ? "" : ", ") + number(extent);
    positive = positive && extent > 0;
    fits = fits && !__builtin_mul_overflow(count, extent, &count);
    extents[rank - 1 - i] = static_cast<int64_t>(extent);
  }
  dims += "]";
  if (!fits) throw Error(where, dims, "a product that fits 63 bits");
  if (!positive) throw Error(where, dims, "dimensions of at least 1");
  const auto type = in.scalar<uint32_t>(name);
  const GgmlTypeInfo* info = type > 0xffff ? nullptr : find_ggml_type(static_cast<int>(type));
  if (info == nullptr) {
    throw Error(where, type > 0xffff ? "type " + number(type) : ggml_type_text(static_cast<int>(type)),
                "a known ggml type");
  }
  if (extents.back() % info->block_values != 0) {
    throw Error(
        where, dims,
        "a row length that is a multiple of " + std::to_string(info->block_values) + " for " + std::string(info->name));
  }
  const auto offset = in.scalar<uint64_t>(name);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(count / info->block_values, int64_t{info->block_bytes}, &bytes)) {
    throw Error(where, dims + " of " + std::string(info->name), "a size that fits 63 bits");
  }
  return {info, make_shape(extents), static_cast<size_t>(offset), static_cast<size_t>(bytes)};
}

uint64_t read_alignment(const GgufHeader& header, const std::string& where) {
  constexpr std::string_view kKey = "general.alignment";
  const auto found = header.metadata.find(kKey);
  if (found == header.metadata.end()) return kDefaultAlignment;
  const auto* list = std::get_if<std::vector<int64_t>>(&found->second.items);
  const bool integer = list != nullptr && !found->second.is_array && found->second.type != GgufType::kBool;
  const int64_t value = integer ? list->at(0) : 0;
  if (value < 1 || !std::has_single_bit(static_cast<uint64_t>(value)) || value > (int64_t{1} << 32)) {
    throw Error(where + ": " + std::string(kKey), "general.alignment " + found->second.print(),
                "an alignment that is a power of two");
  }
  return static_cast<uint64_t>(value);
}

uint64_t round_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// Tensors must tile the data: in order of their offsets each begins at the next multiple of the alignment.
void check_tiling(GgufHeader& header, const GgufReader& in, uint64_t alignment) {
  using Entry = std::pair<const std::string, GgufHeader::Item>;
  std::vector<Entry*> order;
  for (Entry& entry : header.items) order.push_back(&entry);
  std::ranges::sort(order, {}, [](const Entry* entry) { return std::pair(entry->second.begin, entry->first); });
  const uint64_t data_begin = round_up(in.at(), alignment), size = in.size();
  uint64_t covered = 0;
  std::string before = "the header";
  for (Entry* entry : order) {
    auto& [name, item] = *entry;
    const std::string where = in.where() + ": " + name, found = "offset " + number(item.begin);
    if (item.begin % alignment != 0) throw Error(where, found, "an offset that is a multiple of " + number(alignment));
    if (data_begin > size || item.begin > size - data_begin || item.bytes > size - data_begin - item.begin) {
      const std::string end = item.begin > (uint64_t{1} << 62) ? "" : number(data_begin + item.begin + item.bytes);
      throw Error(where,
                  found + " and " + number(item.bytes) + " bytes of data" + (end.empty() ? "" : ", up to byte " + end),
                  "data within the " + number(size) + " bytes of the file: it is cut, or the header lies");
    }
    if (item.begin != round_up(covered, alignment)) {
      throw Error(where, found + (item.begin < covered ? " overlaps " : " leaves a hole after ") + before,
                  "offset " + number(round_up(covered, alignment)));
    }
    covered = item.begin + item.bytes;
    before = name;
  }
  if (!order.empty() && size - data_begin > round_up(covered, alignment)) {
    throw Error(in.where(), number(size - data_begin - covered) + " bytes behind the last tensor " + before,
                "a file of " + number(data_begin + round_up(covered, alignment)) + " bytes");
  }
  for (auto& [name, item] : header.items) item.begin += static_cast<size_t>(data_begin);
}

}  // namespace

GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where) {
  GgufReader in(file, where);
  check_version(in);
  const uint64_t tensors = read_count(in, "tensor", kLeastTensorBytes, kMaxTensors);
  const uint64_t keys = read_count(in, "key-value", kLeastKeyBytes, kMaxKeys);
  GgufHeader header;
  for (uint64_t i = 0; i < keys; ++i) {
    const std::string place = "key-value " + number(i + 1) + " of " + number(keys);
    const std::string key = in.name("the key of " + place);
    if (!header.metadata.emplace(key, in.value(key + " (" + place + ")")).second) {
      throw Error(where + ": " + key, "stands twice in the metadata", "each key once");
    }
  }
  for (uint64_t i = 0; i < tensors; ++i) {
    const std::string name = in.name("the name of tensor " + number(i + 1) + " of " + number(tensors));
    if (!header.items.emplace(name, read_tensor(in, name)).second) {
      throw Error(where + ": " + name, "stands twice among the tensors", "each name once");
    }
  }
  check_tiling(header, in, read_alignment(header, where));
  return header;
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.map = std::make_shared<MappedFile>(path);
  file.header = parse_gguf_header(file.map->bytes(), path.string());
  return file;
}

}  // namespace omni
