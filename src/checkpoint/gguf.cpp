#include "checkpoint/gguf.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace omni {
namespace {

Tensor view(const GgufFile& file, size_t begin, DType dtype, Shape shape) {
  const auto bytes = static_cast<size_t>(storage_bytes(dtype, shape.count()));
  const std::byte* data = file.map->bytes().data() + begin;
  const size_t alignment = std::max<size_t>(1, static_cast<size_t>(dtype_info(dtype).storage_bits) / 8);
  if (reinterpret_cast<uintptr_t>(data) % alignment == 0) {
    return Tensor(Buffer::view(data, bytes, file.map), 0, dtype, shape);
  }
  Tensor copy(dtype, shape);  // general.alignment may be less than the size of a value
  std::memcpy(copy.raw(), data, bytes);
  return copy;
}

}  // namespace

GgufCheckpoint::GgufCheckpoint(std::filesystem::path where, std::vector<GgufFile> files)
    : where_(std::move(where)), files_(std::move(files)) {
  for (size_t i = 0; i < files_.size(); ++i) {
    for (const auto& [name, item] : files_[i].header.items) {
      const bool block = item.type->dtype == DType::kNone;
      Entry entry{item.type->dtype, item.shape, files_[i].map->path(), block ? static_cast<int>(item.type->type) : -1};
      const auto [it, fresh] = places_.emplace(name, Place{std::move(entry), item.type, i, item.begin, item.bytes});
      if (!fresh) {
        throw Error(files_[i].map->path().string() + ": " + name,
                    "is in " + it->second.entry.file.filename().string() + " as well", "one part a tensor");
      }
    }
  }
}

const GgufCheckpoint::Place& GgufCheckpoint::place(std::string_view name) const {
  const auto it = places_.find(name);
  if (it != places_.end()) return it->second;
  throw Error(where() + ": " + std::string(name), "there is no such tensor", "a tensor of this checkpoint");
}

const Checkpoint::Entry* GgufCheckpoint::find(std::string_view name) const {
  const auto it = places_.find(name);
  return it == places_.end() ? nullptr : &it->second.entry;
}

const GgmlTypeInfo& GgufCheckpoint::type(std::string_view name) const {
  return *place(name).type;
}

Tensor GgufCheckpoint::tensor(std::string_view name) const {
  const Place& at = place(name);
  if (at.entry.dtype != DType::kNone) return view(files_[at.file], at.begin, at.entry.dtype, at.entry.shape);
  const int64_t rows = at.entry.shape.count() / at.entry.shape[-1];
  return view(files_[at.file], at.begin, DType::kU8, Shape{rows, static_cast<int64_t>(at.bytes) / rows});
}

void GgufCheckpoint::release(std::string_view name) const {
  const auto it = places_.find(name);
  if (it != places_.end()) files_[it->second.file].map->release(it->second.begin, it->second.bytes);
}

std::vector<std::string> GgufCheckpoint::names() const {
  std::vector<std::string> out;
  for (const auto& [name, place] : places_) out.push_back(name);
  return out;
}

std::vector<std::string> GgufCheckpoint::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, value] : files_[0].header.metadata) out.push_back(key);
  return out;
}

const GgufValue* GgufCheckpoint::value(std::string_view key) const {
  const auto it = files_[0].header.metadata.find(key);
  return it == files_[0].header.metadata.end() ? nullptr : &it->second;
}

std::string GgufCheckpoint::metadata(std::string_view key) const {
  const GgufValue* found = value(key);
  return found == nullptr ? "" : found->print();
}

std::string GgufCheckpoint::architecture() const {
  return text_or("general.architecture", "");
}

const GgufValue& GgufCheckpoint::required(std::string_view key, std::string_view expected) const {
  const GgufValue* found = value(key);
  if (found == nullptr) throw Error(where() + ": " + std::string(key), "is missing", std::string(expected));
  return *found;
}

void GgufCheckpoint::wrong_kind(std::string_view key, std::string_view expected) const {
  const GgufValue& found = *value(key);
  throw Error(where() + ": " + std::string(key), "is " + found.kind() + " " + found.print(), std::string(expected));
}

int64_t GgufCheckpoint::integer(std::string_view key) const {
  const GgufValue& found = required(key, "an integer");
  const auto* list = std::get_if<std::vector<int64_t>>(&found.items);
  if (list == nullptr || found.is_array || found.type == GgufType::kBool) wrong_kind(key, "an integer");
  if (found.type == GgufType::kU64 && list->at(0) < 0) wrong_kind(key, "an integer below 2^63");
  return list->at(0);
}

int64_t GgufCheckpoint::integer_or(std::string_view key, int64_t otherwise) const {
  return value(key) == nullptr ? otherwise : integer(key);
}

double GgufCheckpoint::number(std::string_view key) const {
  const GgufValue& found = required(key, "a number");
  const auto* list = std::get_if<std::vector<double>>(&found.items);
  if (list == nullptr) return static_cast<double>(integer(key));
  if (found.is_array) wrong_kind(key, "a number");
  return list->at(0);
}

double GgufCheckpoint::number_or(std::string_view key, double otherwise) const {
  return value(key) == nullptr ? otherwise : number(key);
}

bool GgufCheckpoint::boolean_or(std::string_view key, bool otherwise) const {
  const GgufValue* found = value(key);
  if (found == nullptr) return otherwise;
  if (found->type != GgufType::kBool || found->is_array) wrong_kind(key, "true or false");
  return std::get<std::vector<int64_t>>(found->items).at(0) != 0;
}

const std::string& GgufCheckpoint::text(std::string_view key) const {
  const GgufValue& found = required(key, "a string");
  if (found.type != GgufType::kString || found.is_array) wrong_kind(key, "a string");
  return std::get<std::vector<std::string>>(found.items).at(0);
}

std::string GgufCheckpoint::text_or(std::string_view key, std::string_view otherwise) const {
  return value(key) == nullptr ? std::string(otherwise) : text(key);
}

const std::vector<int64_t>& GgufCheckpoint::integers(std::string_view key) const {
  const GgufValue& found = required(key, "an array of integers");
  const auto* list = std::get_if<std::vector<int64_t>>(&found.items);
  if (list == nullptr || !found.is_array) wrong_kind(key, "an array of integers");
  return *list;
}

const std::vector<double>& GgufCheckpoint::numbers(std::string_view key) const {
  const GgufValue& found = required(key, "an array of floats");
  const auto* list = std::get_if<std::vector<double>>(&found.items);
  if (list == nullptr || !found.is_array) wrong_kind(key, "an array of floats");
  return *list;
}

const std::vector<std::string>& GgufCheckpoint::texts(std::string_view key) const {
  const GgufValue& found = required(key, "an array of strings");
  if (found.type != GgufType::kString || !found.is_array) wrong_kind(key, "an array of strings");
  return std::get<std::vector<std::string>>(found.items);
}

const GgufCheckpoint* as_gguf(const Checkpoint& checkpoint) {
  return dynamic_cast<const GgufCheckpoint*>(&checkpoint);
}

}  // namespace omni
