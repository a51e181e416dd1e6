#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/safetensors.h"

namespace omni {

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& named : tensors) order.push_back(&named);
  const auto bits = [](const NamedTensor* named) { return dtype_info(named->tensor.dtype()).storage_bits; };
  // Widest first, so that every tensor is aligned to its values.
  std::sort(order.begin(), order.end(), [&](const NamedTensor* a, const NamedTensor* b) {
    return bits(a) != bits(b) ? bits(a) > bits(b) : a->name < b->name;
  });
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) {
    auto& meta = header["__metadata__"] = nlohmann::json::object();
    for (const auto& [key, value] : metadata) meta[key] = value;
  }
  size_t end = 0;
  for (const NamedTensor* named : order) {
    const Tensor& tensor = named->tensor;
    const std::string where = path.string() + ": " + named->name;
    const std::string_view dtype = safetensors_dtype_name(tensor.dtype());
    if (dtype.empty()) {
      throw Error(where, "is of dtype " + std::string(dtype_name(tensor.dtype())), "a dtype that safetensors has");
    }
    if (named->name.empty() || named->name == "__metadata__" || header.contains(named->name)) {
      throw Error(where, "cannot be a tensor's name here", "a name of its own for each tensor");
    }
    assert(tensor.contiguous() || tensor.shape().count() == 0);
    auto& item = header[named->name];
    item["dtype"] = dtype;
    item["shape"] = nlohmann::json::array();
    for (int axis = 0; axis < tensor.shape().rank(); ++axis) item["shape"].push_back(tensor.shape()[axis]);
    const size_t begin = end;
    end += static_cast<size_t>(tensor.bytes());
    item["data_offsets"] = {begin, end};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw Error(path.string(), "a tensor's name or metadata is not UTF-8", "UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string bytes;
  bytes.reserve(8 + text.size() + end);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * i)));
  bytes += text;
  for (const NamedTensor* named : order) {
    bytes.append(reinterpret_cast<const char*>(named->tensor.raw()), static_cast<size_t>(named->tensor.bytes()));
  }
  write_file_whole(path, bytes);
}

}  // namespace omni
