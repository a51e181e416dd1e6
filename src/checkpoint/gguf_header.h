#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/files.h"
#include "checkpoint/gguf_types.h"
#include "checkpoint/gguf_value.h"

namespace omni {

// What the header of one GGUF file (version 2 or 3, little-endian) says, checked against the bytes of the file.
struct GgufHeader {
  struct Item {
    const GgmlTypeInfo* type = nullptr;
    Shape shape;                  // in our order, [rows, cols]
    size_t begin = 0, bytes = 0;  // begin: from the start of the file
  };
  std::map<std::string, Item, std::less<>> items;
  std::map<std::string, GgufValue, std::less<>> metadata;
};

// Checks everything: every count and length against the bytes that are left, tensors tile the data. Throws Error naming
// where and the key or tensor.
GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where);

// One mapped file and what it holds. Immutable.
struct GgufFile {
  std::shared_ptr<MappedFile> map;
  GgufHeader header;
  static GgufFile open(const std::filesystem::path& path);
};

}  // namespace omni
