#include "checkpoint/gguf_write.h"

#include <cstring>
#include <set>
#include <span>

#include "base/error.h"

namespace omni {
namespace {

constexpr size_t kAlignment = 32;

size_t round_up(size_t value) {
  return (value + kAlignment - 1) / kAlignment * kAlignment;
}

// A file's header while it grows.
struct Header {
  std::string bytes;

  template <class T>
  void add(T value) {
    const size_t at = bytes.size();
    bytes.resize(at + sizeof(T));
    std::memcpy(bytes.data() + at, &value, sizeof(T));
  }
  void add_text(std::string_view text) {
    add(static_cast<uint64_t>(text.size()));
    bytes += text;
  }

  template <class Item>
  void add_number(GgufType type, Item value) {
    switch (type) {
      case GgufType::kU8:
      case GgufType::kI8:
      case GgufType::kBool:
        return add(static_cast<uint8_t>(value));
      case GgufType::kU16:
      case GgufType::kI16:
        return add(static_cast<uint16_t>(value));
      case GgufType::kU32:
      case GgufType::kI32:
        return add(static_cast<uint32_t>(value));
      case GgufType::kU64:
      case GgufType::kI64:
        return add(static_cast<uint64_t>(value));
      case GgufType::kF32:
        return add(static_cast<float>(value));
      case GgufType::kF64:
        return add(static_cast<double>(value));
      case GgufType::kString:
      case GgufType::kArray:
        break;
    }
  }

  void add_value(const GgufValue& value) {
    add(static_cast<uint32_t>(value.is_array ? GgufType::kArray : value.type));
    if (value.is_array) {
      add(static_cast<uint32_t>(value.type));
      add(static_cast<uint64_t>(value.count()));
    }
    if (const auto* list = std::get_if<std::vector<int64_t>>(&value.items)) {
      for (const int64_t item : *list) add_number(value.type, item);
    }
    if (const auto* list = std::get_if<std::vector<double>>(&value.items)) {
      for (const double item : *list) add_number(value.type, item);
    }
    if (const auto* list = std::get_if<std::vector<std::string>>(&value.items)) {
      for (const std::string& item : *list) add_text(item);
    }
  }
};

size_t bytes_of(const GgufItem& item, const std::string& where) {
  const GgmlTypeInfo& info = ggml_type_info(item.type);
  const int rank = item.shape.rank();
  if (rank < 1 || rank > 4 || item.shape.count() < 1) {
    throw Error(where, "is of shape " + item.shape.text(), "1 to 4 dimensions of at least 1");
  }
  if (item.shape[-1] % info.block_values != 0) {
    throw Error(where, "has rows of " + std::to_string(item.shape[-1]) + " values",
                "a multiple of " + std::to_string(info.block_values) + " for " + std::string(info.name));
  }
  return static_cast<size_t>(item.shape.count() / info.block_values * info.block_bytes);
}

}  // namespace

GgufWriter::GgufWriter(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, GgufValue>>& metadata, std::vector<GgufItem> items)
    : where_(path.string()), file_(path) {
  Header header;
  header.bytes = "GGUF";
  header.add(uint32_t{3});
  header.add(static_cast<uint64_t>(items.size()));
  header.add(static_cast<uint64_t>(metadata.size()));
  std::set<std::string_view> keys;
  for (const auto& [key, value] : metadata) {
    if (key.empty() || !keys.insert(key).second) {
      throw Error(where_ + ": " + key, "cannot be a key here", "a key of its own for each value");
    }
    header.add_text(key);
    header.add_value(value);
  }
  size_t offset = 0;
  for (const GgufItem& item : items) {
    const std::string at = where_ + ": " + item.name;
    const size_t bytes = bytes_of(item, at);
    header.add_text(item.name);
    header.add(static_cast<uint32_t>(item.shape.rank()));
    for (int axis = item.shape.rank() - 1; axis >= 0; --axis) header.add(static_cast<uint64_t>(item.shape[axis]));
    header.add(static_cast<uint32_t>(item.type));
    header.add(static_cast<uint64_t>(offset));
    if (item.name.empty() || !places_.emplace(item.name, Place{item, offset, bytes}).second) {
      throw Error(at, "cannot be a tensor's name here", "a name of its own for each tensor");
    }
    offset = round_up(offset + bytes);
  }
  const size_t data = round_up(header.bytes.size());
  for (auto& [name, place] : places_) place.offset += data;
  end_ = data + offset;
  file_.write_at(0, std::as_bytes(std::span(header.bytes)));
}

void GgufWriter::write(std::string_view name, const Tensor& bytes) {
  const auto it = places_.find(name);
  const std::string where = where_ + ": " + std::string(name);
  if (it == places_.end()) throw Error(where, "was not announced", "a tensor of the header");
  Place& place = it->second;
  if (place.written) throw Error(where, "is written twice", "each tensor once");
  if (!bytes.contiguous() || static_cast<size_t>(bytes.bytes()) != place.bytes) {
    throw Error(where, "holds " + std::to_string(bytes.bytes()) + " bytes", std::to_string(place.bytes) + " bytes");
  }
  file_.write_at(place.offset, {bytes.raw(), place.bytes});
  place.written = true;
}

void GgufWriter::finish() {
  for (const auto& [name, place] : places_) {
    if (!place.written) throw Error(where_ + ": " + name, "was announced, but not written", "every tensor written");
  }
  file_.keep(end_);
}

void write_gguf(const std::filesystem::path& path, const std::vector<std::pair<std::string, GgufValue>>& metadata,
                const std::vector<GgufTensor>& tensors) {
  std::vector<GgufItem> items;
  for (const GgufTensor& tensor : tensors) items.push_back(tensor.item);
  GgufWriter writer(path, metadata, std::move(items));
  for (const GgufTensor& tensor : tensors) writer.write(tensor.item.name, tensor.bytes);
  writer.finish();
}

}  // namespace omni
