#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/json.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kIndexSuffix = ".safetensors.index.json";
constexpr std::string_view kFileSuffix = ".safetensors";
constexpr std::array<std::string_view, 2> kUsualNames = {"model.safetensors", "diffusion_pytorch_model.safetensors"};

// One or more mapped files under one set of names.
class SafetensorsCheckpoint final : public Checkpoint {
 public:
  explicit SafetensorsCheckpoint(fs::path where) : where_(std::move(where)) {}

  // wanted: the names that this file is to give; null: all.
  void add(SafetensorsFile file, const std::set<std::string, std::less<>>* wanted) {
    const size_t index = files_.size();
    for (const auto& [name, item] : file.header.items) {
      if (wanted != nullptr && !wanted->contains(name)) continue;
      Place place{{item.dtype, item.shape, file.map->path()}, index, item.begin};
      places_.emplace(name, std::move(place));
    }
    files_.push_back(std::move(file));
  }

  const Entry* find(std::string_view name) const override {
    const auto it = places_.find(name);
    return it == places_.end() ? nullptr : &it->second.entry;
  }

  Tensor tensor(std::string_view name) const override {
    const auto it = places_.find(name);
    if (it == places_.end()) {
      throw Error(where() + ": " + std::string(name), "there is no such tensor", "a tensor of this checkpoint");
    }
    const auto& [entry, index, begin] = it->second;
    const std::shared_ptr<MappedFile>& map = files_[index].map;
    const size_t bytes = static_cast<size_t>(storage_bytes(entry.dtype, entry.shape.count()));
    const std::byte* data = map->bytes().data() + begin;
    const size_t alignment = std::max<size_t>(1, static_cast<size_t>(dtype_info(entry.dtype).storage_bits) / 8);
    if (bytes == 0 || reinterpret_cast<uintptr_t>(data) % alignment == 0) {
      return Tensor(Buffer::view(data, bytes, map), 0, entry.dtype, entry.shape);
    }
    Tensor copy(entry.dtype, entry.shape);  // an odd header length leaves values where they may not be read in place
    std::memcpy(copy.raw(), data, bytes);
    return copy;
  }

  void release(std::string_view name) const override {
    const auto it = places_.find(name);
    if (it == places_.end()) return;
    const auto& [entry, index, begin] = it->second;
    files_[index].map->release(begin, static_cast<size_t>(storage_bytes(entry.dtype, entry.shape.count())));
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& [name, place] : places_) out.push_back(name);
    return out;
  }

  std::string metadata(std::string_view key) const override {
    for (const SafetensorsFile& file : files_) {
      const auto it = file.header.metadata.find(key);
      if (it != file.header.metadata.end()) return it->second;
    }
    return "";
  }

  std::vector<std::string> metadata_keys() const override {
    std::set<std::string> keys;
    for (const SafetensorsFile& file : files_) {
      for (const auto& [key, value] : file.header.metadata) keys.insert(key);
    }
    return {keys.begin(), keys.end()};
  }

  std::string where() const override { return where_.string(); }

 private:
  struct Place {
    Entry entry;
    size_t file = 0, begin = 0;
  };
  fs::path where_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Place, std::less<>> places_;
};

bool plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find('\0') == std::string::npos;
}

bool lies_in(const fs::path& file, const fs::path& folder) {
  const auto [f, unused] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return f == folder.end();
}

// A shard may be a link only within its folder, or as the Hugging Face cache lays it out: REPO/snapshots/REVISION/...
// links into REPO/blobs.
void check_link(const fs::path& shard, const std::string& where) {
  std::error_code failed;
  const fs::path folder = fs::canonical(shard.parent_path(), failed);
  if (failed) return;
  const fs::path real = fs::canonical(shard, failed);
  if (failed || lies_in(real, folder)) return;  // a missing file has its own message
  for (fs::path at = folder; at.has_relative_path(); at = at.parent_path()) {
    if (at.filename() == "snapshots" && lies_in(real, at.parent_path() / "blobs")) return;
  }
  throw Error(where, "'" + shard.filename().string() + "' links to " + real.string(),
              "a file inside the folder, or a link within one Hugging Face cache entry");
}

using Shards = std::map<std::string, std::set<std::string, std::less<>>>;  // file name -> tensors

Shards read_weight_map(const fs::path& path) {
  const JsonObject index = JsonObject::load(path);
  const JsonObject weight_map = index.object("weight_map");
  Shards shards;
  for (const auto& [name, file] : weight_map.value().items()) {
    const std::string where = path.string() + ": " + name;
    if (name.empty()) throw Error(path.string(), "a tensor without a name", "names of at least one character");
    if (!file.is_string()) throw Error(where, "is no file name", "the name of a .safetensors file");
    const auto shard = file.get<std::string>();
    if (!plain_file_name(shard)) {
      throw Error(where, "the shard '" + shard + "' is no plain file name", "a file name inside the folder");
    }
    shards[shard].insert(name);
  }
  if (shards.empty()) throw Error(path.string() + ": weight_map", "is empty", "at least one tensor");
  return shards;
}

std::unique_ptr<Checkpoint> open_index(const fs::path& path, const fs::path& where) {
  const Shards shards = read_weight_map(path);
  for (const auto& [shard, names] : shards) {
    const fs::path file = path.parent_path() / shard;
    const std::string at = path.string() + ": " + *names.begin();
    check_link(file, at);
    std::error_code failed;
    if (!fs::exists(file, failed))
      throw Error(at, "its shard '" + shard + "' does not exist", "the file " + file.string());
  }
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>(where);
  std::map<std::string, std::string, std::less<>> holder;  // every tensor of every shard, named by the index or not
  for (const auto& [shard, names] : shards) {
    SafetensorsFile file = SafetensorsFile::open(path.parent_path() / shard);
    for (const std::string& name : names) {
      if (!file.header.items.contains(name)) {
        throw Error(file.map->path().string() + ": " + name, "is not in the shard that the index names",
                    name + " in " + shard);
      }
    }
    for (const auto& [name, item] : file.header.items) {
      const auto [it, fresh] = holder.emplace(name, shard);
      if (!fresh) {
        throw Error(file.map->path().string() + ": " + name, "is in " + it->second + " as well", "one shard a tensor");
      }
    }
    checkpoint->add(std::move(file), &names);
  }
  return checkpoint;
}

std::unique_ptr<Checkpoint> open_file(const fs::path& path, const fs::path& where) {
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>(where);
  checkpoint->add(SafetensorsFile::open(path), nullptr);
  return checkpoint;
}

std::string name_list(const std::vector<fs::path>& paths) {
  std::string text;
  for (const fs::path& path : paths) text += (text.empty() ? "" : ", ") + path.filename().string();
  return text;
}

std::unique_ptr<Checkpoint> open_folder(const fs::path& folder) {
  std::vector<fs::path> indexes, files;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kIndexSuffix)) indexes.push_back(entry.path());
    if (name.ends_with(kFileSuffix)) files.push_back(entry.path());
  }
  if (failed) throw Error(folder.string(), "cannot be listed: " + failed.message(), "a readable folder");
  std::sort(indexes.begin(), indexes.end());
  std::sort(files.begin(), files.end());
  if (indexes.size() == 1) return open_index(indexes[0], folder);
  if (indexes.size() > 1) {
    throw Error(folder.string(), "holds several indexes: " + name_list(indexes), "one; or name the one that is meant");
  }
  if (files.size() == 1) return open_file(files[0], folder);
  for (const std::string_view usual : kUsualNames) {  // what the libraries look for, whatever else lies beside it
    const auto it = std::ranges::find(files, usual, [](const fs::path& file) { return file.filename().string(); });
    if (it != files.end()) return open_file(*it, folder);
  }
  if (files.size() > 1) {
    throw Error(folder.string(), "holds several files and no index: " + name_list(files),
                "one .safetensors file, or an index");
  }
  throw Error(folder.string(), "holds no .safetensors file", "one .safetensors file, or an index");
}

}  // namespace

std::unique_ptr<Checkpoint> open_safetensors(const fs::path& path) {
  std::error_code failed;
  if (fs::is_directory(path, failed)) return open_folder(path);
  if (path.filename().string().ends_with(kIndexSuffix)) return open_index(path, path);
  return open_file(path, path);
}

}  // namespace omni
