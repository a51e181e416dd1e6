#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "checkpoint/checkpoint.h"

namespace omni {

// The safetensors spelling of a dtype ("BF16"), or "" when the format has none; and back.
std::string_view safetensors_dtype_name(DType dtype);
std::optional<DType> find_safetensors_dtype(std::string_view name);

// A shape of at most Shape::kMaxRank extents read from a file.
Shape make_shape(const std::vector<int64_t>& extents);

// What the header of one .safetensors file says, checked against the bytes of the file.
struct SafetensorsHeader {
  struct Item {
    DType dtype = DType::kNone;
    Shape shape;
    size_t begin = 0, bytes = 0;  // begin: from the start of the file
  };
  std::map<std::string, Item, std::less<>> items;
  std::map<std::string, std::string, std::less<>> metadata;
};

// Checks everything: tensors tile the data without holes or overlap. Throws Error naming where and the tensor.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& where);

// One mapped file and what it holds. Immutable.
struct SafetensorsFile {
  std::shared_ptr<MappedFile> map;
  SafetensorsHeader header;
  static SafetensorsFile open(const std::filesystem::path& path);
};

}  // namespace omni
