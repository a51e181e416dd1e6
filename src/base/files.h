#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace omni {

// Reads a whole regular file. Throws Error when it is missing, no regular file, or larger than limit bytes.
std::string read_file(const std::filesystem::path& path, size_t limit);

// Writes bytes under a temporary name in the same folder and renames: the final name never holds half a file.
void write_file_whole(const std::filesystem::path& path, std::string_view bytes);

// A read-only memory map of a regular file, unmapped on destruction. Movable.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Whole pages within [begin, begin + bytes) may leave memory; they come back when they are read.
  void release(size_t begin, size_t bytes) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace omni
