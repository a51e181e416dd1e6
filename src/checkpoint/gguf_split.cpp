#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "base/error.h"
#include "checkpoint/gguf.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kSuffix = ".gguf";
constexpr std::string_view kNumberKey = "split.no";
constexpr std::string_view kCountKey = "split.count";
constexpr std::string_view kTensorsKey = "split.tensors.count";

std::optional<int> five_digits(std::string_view text) {
  int value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() != 5 || failure != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// An integer of one part's metadata; otherwise when there is none.
int64_t integer_of(const GgufFile& file, std::string_view key, int64_t otherwise) {
  const auto found = file.header.metadata.find(key);
  if (found == file.header.metadata.end()) return otherwise;
  const auto* list = std::get_if<std::vector<int64_t>>(&found->second.items);
  if (list == nullptr || found->second.is_array) {
    throw Error(file.map->path().string() + ": " + std::string(key), "is " + found->second.kind(), "an integer");
  }
  return list->at(0);
}

void check_number(const GgufFile& file, std::string_view key, int64_t expected) {
  const int64_t found = integer_of(file, key, -1);
  if (found == expected) return;
  throw Error(file.map->path().string() + ": " + std::string(key), found == -1 ? "is missing" : std::to_string(found),
              std::to_string(expected));
}

std::vector<GgufFile> open_parts(const fs::path& path, const GgufPart& part) {
  const auto file_of = [&](int number) { return path.parent_path() / gguf_part_name({part.stem, number, part.count}); };
  for (int number = 1; number <= part.count; ++number) {
    std::error_code failed;
    if (fs::exists(file_of(number), failed)) continue;
    throw Error(path.string(), fmt::format("part {} of {} is missing: no such file", number, part.count),
                file_of(number).filename().string() + " beside it");
  }
  std::vector<GgufFile> files;
  int64_t tensors = 0;
  for (int number = 1; number <= part.count; ++number) {
    files.push_back(GgufFile::open(file_of(number)));
    check_number(files.back(), kCountKey, part.count);
    check_number(files.back(), kNumberKey, number - 1);
    tensors += static_cast<int64_t>(files.back().header.items.size());
  }
  for (const GgufFile& file : files) {
    const int64_t told = integer_of(file, kTensorsKey, tensors);
    if (told == tensors) continue;
    throw Error(file.map->path().string() + ": " + std::string(kTensorsKey), std::to_string(told),
                std::to_string(tensors) + ", the tensors of all parts");
  }
  return files;
}

}  // namespace

std::optional<GgufPart> gguf_part(std::string_view file_name) {
  constexpr std::string_view kOf = "-of-";
  constexpr size_t kTail = 1 + 5 + kOf.size() + 5;  // "-00001-of-00003"
  if (!file_name.ends_with(kSuffix)) return std::nullopt;
  file_name.remove_suffix(kSuffix.size());
  if (file_name.size() <= kTail) return std::nullopt;
  const std::string_view tail = file_name.substr(file_name.size() - kTail);
  const auto number = five_digits(tail.substr(1, 5)), count = five_digits(tail.substr(kTail - 5));
  if (tail[0] != '-' || tail.substr(6, kOf.size()) != kOf || !number || !count) return std::nullopt;
  return GgufPart{std::string(file_name.substr(0, file_name.size() - kTail)), *number, *count};
}

std::string gguf_part_name(const GgufPart& part) {
  return fmt::format("{}-{:05}-of-{:05}{}", part.stem, part.number, part.count, kSuffix);
}

std::unique_ptr<GgufCheckpoint> open_gguf(const fs::path& path) {
  const std::optional<GgufPart> part = gguf_part(path.filename().string());
  if (part && part->count > 1) {
    if (part->number < 1 || part->number > part->count) {
      throw Error(path.string(), fmt::format("its name says part {} of {}", part->number, part->count),
                  fmt::format("a part from 1 to {}", part->count));
    }
    return std::make_unique<GgufCheckpoint>(path, open_parts(path, *part));
  }
  std::vector<GgufFile> files;
  files.push_back(GgufFile::open(path));
  const int64_t count = integer_of(files[0], kCountKey, 1);
  if (count > 1) {
    throw Error(path.string() + ": " + std::string(kCountKey),
                "says one part of " + std::to_string(count) + ", but the file's name does not say which",
                fmt::format("names like {}", gguf_part_name({"MODEL", 1, static_cast<int>(count & 0xffff)})));
  }
  return std::make_unique<GgufCheckpoint>(path, std::move(files));
}

}  // namespace omni
