#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace omni {

// A file in the making, under a temporary name in the same folder: keep() gives it the final name, anything else
// leaves nothing. For files too large to be put together in memory (write_file_whole). Used by one thread.
class NewFile {
 public:
  explicit NewFile(std::filesystem::path path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // Bytes at any place; what nobody writes is zero. Throws Error when the disk is full.
  void write_at(size_t offset, std::span<const std::byte> bytes);
  // Makes it bytes long, on disk and readable under its final name.
  void keep(size_t bytes);

 private:
  [[noreturn]] void fail(const char* what) const;
  std::filesystem::path path_;
  std::string temporary_;
  int fd_ = -1;
};

}  // namespace omni
