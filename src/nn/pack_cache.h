#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quant/weight.h"

namespace omni {

// A folder of packed weights (`--pack-cache DIR`), so that the next start need not quantize again. An entry's name is a
// hash of all that its bytes depend on: the stored bytes, both schemes, the kernel, the version below. Entries are
// written under a temporary name and renamed, and checked by a hash of their own when they are read: a damaged one is
// reported and made anew. Several processes may share the folder.
class PackCache {
 public:
  // Creates the folder. Throws Error when it cannot be written.
  explicit PackCache(std::filesystem::path folder);

  // What one packed matrix is made of, gathered part by part.
  class Key {
   public:
    Key();
    ~Key();
    Key(Key&&) noexcept;
    Key& operator=(Key&&) noexcept;
    void add(std::string_view text);
    void add(std::span<const std::byte> bytes);
    std::string text() const;  // 32 hexadecimal digits

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

  // A packed matrix and the rounding error of each of its parts.
  struct Entry {
    Weight weight;
    std::vector<double> errors;
  };
  // The weight looks into the mapped file. nullopt when there is none of this key and [rows, cols].
  std::optional<Entry> find(const Key& key, int64_t rows, int64_t cols) const;
  // A failure to write is a warning: the model runs without.
  void store(const Key& key, const Entry& entry) const;

  int64_t hits() const { return hits_; }
  int64_t misses() const { return misses_; }

 private:
  std::filesystem::path path(const Key& key) const;
  std::filesystem::path folder_;
  mutable int64_t hits_ = 0, misses_ = 0;
};

}  // namespace omni
