#include "checkpoint/safetensors_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"

namespace omni {
namespace {

using nlohmann::json;

// The header of one file as JSON text, padded so that the data begin on a multiple of 8.
std::string header_text(const json& header, const std::filesystem::path& path) {
  std::string text;
  try {
    text = header.dump();
  } catch (const json::type_error&) {
    throw Error(path.string(), "a tensor's name or metadata is not UTF-8", "UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void check_header(const TensorHeader& tensor, const std::string& where) {
  if (safetensors_dtype_name(tensor.dtype).empty()) {
    throw Error(where, "is of dtype " + std::string(dtype_name(tensor.dtype)), "a dtype that safetensors has");
  }
  if (tensor.name.empty() || tensor.name == "__metadata__") {
    throw Error(where, "cannot be a tensor's name here", "a name of its own for each tensor");
  }
}

// Tensors in shards of at most `limit` bytes, in the order given; a larger tensor is alone.
std::vector<std::vector<TensorHeader>> split_shards(std::vector<TensorHeader> tensors, int64_t limit) {
  std::vector<std::vector<TensorHeader>> shards(1);
  int64_t bytes = 0;
  for (TensorHeader& tensor : tensors) {
    if (limit > 0 && bytes > 0 && bytes + tensor.bytes() > limit) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += tensor.bytes();
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorHeader> tensors,
                                     const Options& options)
    : path_(path) {
  std::ranges::sort(tensors, {}, &TensorHeader::name);
  std::vector<std::vector<TensorHeader>> shards = split_shards(std::move(tensors), options.shard_bytes);
  if (shards.size() == 1) {
    add_shard(path, shards[0], options.metadata);
    return;
  }
  const std::string stem = (path.parent_path() / path.stem()).string();
  std::vector<std::string> names;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::filesystem::path file =
        fmt::format("{}-{:05}-of-{:05}{}", stem, i + 1, shards.size(), path.extension().string());
    names.push_back(file.filename().string());
    add_shard(file, shards[i], options.metadata);
  }
  write_index(names);
}

void SafetensorsWriter::add_shard(const std::filesystem::path& path, std::span<const TensorHeader> tensors,
                                  const TextPairs& metadata) {
  std::vector<const TensorHeader*> order;
  for (const TensorHeader& tensor : tensors) order.push_back(&tensor);
  // Widest first, so that every tensor is aligned to its values.
  std::ranges::stable_sort(order, std::greater<>(),
                           [](const TensorHeader* t) { return dtype_info(t->dtype).storage_bits; });
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = json::object();
  for (const auto& [key, value] : metadata) header["__metadata__"][key] = value;
  int64_t end = 0;
  for (const TensorHeader* tensor : order) {
    const std::string where = path.string() + ": " + tensor->name;
    check_header(*tensor, where);
    json shape = json::array();
    for (int axis = 0; axis < tensor->shape.rank(); ++axis) shape.push_back(tensor->shape[axis]);
    const int64_t begin = end;
    end += tensor->bytes();
    header[tensor->name] = {
        {"dtype", safetensors_dtype_name(tensor->dtype)}, {"shape", std::move(shape)}, {"data_offsets", {begin, end}}};
    if (!places_.try_emplace(tensor->name, Place{files_.size(), begin, tensor->bytes()}).second) {
      throw Error(where, "cannot be a tensor's name here", "a name of its own for each tensor");
    }
  }
  const std::string text = header_text(header, path);
  std::string head;
  for (int i = 0; i < 8; ++i) head.push_back(static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i)));
  head += text;
  const auto data_begin = static_cast<int64_t>(head.size());
  File& file = files_.emplace_back(path, static_cast<size_t>(data_begin + end));
  file.file.write_at(0, std::as_bytes(std::span(head)));
  for (const TensorHeader& tensor : tensors) places_.find(tensor.name)->second.begin += data_begin;
  data_bytes_ += end;
}

void SafetensorsWriter::write_index(const std::vector<std::string>& names) {
  json map = json::object();
  for (const auto& [name, place] : places_) map[name] = names[place.shard];
  const json index = {{"metadata", {{"total_size", data_bytes_}}}, {"weight_map", std::move(map)}};
  std::filesystem::path path = path_;
  path += ".index.json";
  const std::string text = index.dump(2) + "\n";
  files_.emplace_back(path, text.size()).file.write_at(0, std::as_bytes(std::span(text)));
}

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const auto it = places_.find(name);
  assert(it != places_.end() && !it->second.written && static_cast<int64_t>(bytes.size()) == it->second.bytes);
  files_[it->second.shard].file.write_at(static_cast<size_t>(it->second.begin), bytes);
  it->second.written = true;
}

bool SafetensorsWriter::has(std::string_view name) const {
  const auto it = places_.find(name);
  return it != places_.end() && it->second.written;
}

void SafetensorsWriter::keep() {
  assert(std::ranges::all_of(places_, [](const auto& item) { return item.second.written; }));
  for (File& file : files_) file.file.keep(file.bytes);  // the index is the last
}

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const TextPairs& metadata) {
  std::vector<TensorHeader> headers;
  for (const NamedTensor& named : tensors) headers.push_back({named.name, named.tensor.dtype(), named.tensor.shape()});
  SafetensorsWriter writer(path, std::move(headers), {.metadata = metadata});
  for (const NamedTensor& named : tensors) {
    assert(named.tensor.contiguous() || named.tensor.shape().count() == 0);
    writer.write(named.name, {named.tensor.raw(), static_cast<size_t>(named.tensor.bytes())});
  }
  writer.keep();
}

}  // namespace omni
