#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_header.h"

namespace omni {

// A GGUF file, or all the parts of a split one, memory-mapped. Metadata is the first part's. Knows no quantization:
// tensors of block types are u8 [rows, bytes of a row]. Immutable; any thread may read.
class GgufCheckpoint final : public Checkpoint {
 public:
  // where: what messages call it. files: the parts in order, at least one.
  GgufCheckpoint(std::filesystem::path where, std::vector<GgufFile> files);

  const Entry* find(std::string_view name) const override;
  Tensor tensor(std::string_view name) const override;
  void release(std::string_view name) const override;
  std::vector<std::string> names() const override;
  std::string metadata(std::string_view key) const override;  // GgufValue::print
  std::vector<std::string> metadata_keys() const override { return keys(); }
  std::string where() const override { return where_.string(); }

  const GgmlTypeInfo& type(std::string_view name) const;  // of a tensor that there is

  // Typed metadata. Each throws Error naming file, key, found and expected when the key is missing or of another kind
  // (the _or forms: of another kind). Integers of any width and sign; numbers: integers too.
  std::vector<std::string> keys() const;               // sorted
  const GgufValue* value(std::string_view key) const;  // null when there is none
  std::string architecture() const;                    // general.architecture, "" when there is none
  int64_t integer(std::string_view key) const;
  int64_t integer_or(std::string_view key, int64_t otherwise) const;
  double number(std::string_view key) const;
  double number_or(std::string_view key, double otherwise) const;
  bool boolean_or(std::string_view key, bool otherwise) const;
  const std::string& text(std::string_view key) const;
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  const std::vector<int64_t>& integers(std::string_view key) const;
  const std::vector<double>& numbers(std::string_view key) const;  // an array of floats
  const std::vector<std::string>& texts(std::string_view key) const;

 private:
  struct Place {
    Entry entry;
    const GgmlTypeInfo* type = nullptr;
    size_t file = 0, begin = 0, bytes = 0;
  };
  const GgufValue& required(std::string_view key, std::string_view expected) const;
  [[noreturn]] void wrong_kind(std::string_view key, std::string_view expected) const;
  const Place& place(std::string_view name) const;
  std::filesystem::path where_;
  std::vector<GgufFile> files_;
  std::map<std::string, Place, std::less<>> places_;
};

// A .gguf file. Of a split one (NAME-00001-of-00003.gguf) any part opens all; they must lie in the same folder, agree
// on split.count and hold split.tensors.count tensors. Throws Error naming a part that is missing.
std::unique_ptr<GgufCheckpoint> open_gguf(const std::filesystem::path& path);

// The checkpoint as what it is; null when it is no GGUF file.
const GgufCheckpoint* as_gguf(const Checkpoint& checkpoint);

// Where a split file's name says that it belongs: "NAME-00002-of-00003.gguf" is part 2 of 3.
struct GgufPart {
  std::string stem;  // "NAME"
  int number = 0, count = 0;
};
std::optional<GgufPart> gguf_part(std::string_view file_name);
std::string gguf_part_name(const GgufPart& part);

}  // namespace omni
