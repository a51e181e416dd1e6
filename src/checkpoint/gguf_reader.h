#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/gguf_value.h"

namespace omni {

// Reads a GGUF file from front to back. Nothing is read beyond its end, nothing allocated that the file does not hold.
// Throws Error naming where; what says what is read, for the message. Looks into file and where.
class GgufReader {
 public:
  GgufReader(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  size_t at() const { return at_; }
  uint64_t left() const { return file_.size() - at_; }
  uint64_t size() const { return file_.size(); }
  const std::string& where() const { return where_; }

  template <class T>
  T scalar(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what), sizeof(T));
    return value;
  }
  const std::byte* take(uint64_t bytes, const std::string& what);
  std::string_view text(const std::string& what);
  std::string name(const std::string& what);  // a key or a tensor's name: UTF-8, 1 to 4096 bytes
  GgufValue value(const std::string& what);   // with its type before it

 private:
  std::span<const std::byte> file_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace omni
