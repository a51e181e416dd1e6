#include "nn/pack_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "kernels/linear.h"

namespace omni {
namespace {

// An entry is this header, the errors as doubles, then the parts, each at a multiple of 64 bytes.
constexpr std::array<char, 8> kMagic = {'o', 'm', 'n', 'i', 'p', 'a', 'c', 'k'};
constexpr size_t kAlignment = 64;
constexpr std::array kParts = {&Weight::codes,         &Weight::scales,      &Weight::outer_scales, &Weight::zeros,
                               &Weight::outer_zeros,   &Weight::input_scale, &Weight::order,        &Weight::smooth,
                               &Weight::low_rank_down, &Weight::low_rank_up, &Weight::panel_sums};

struct PartHeader {
  int32_t dtype = 0, rank = 0;  // rank -1: the weight has no such part
  std::array<int64_t, Shape::kMaxRank> extents{};
  uint64_t begin = 0, bytes = 0;
};
struct Header {
  std::array<char, 8> magic = kMagic;
  int32_t version = kPackVersion, layout = 0;
  QuantScheme scheme;  // of this program's own making: the version covers its form
  int64_t rows = 0, cols = 0;
  uint64_t errors = 0, file_bytes = 0, data_hash = 0;
  std::array<PartHeader, kParts.size()> parts{};
};
static_assert(std::is_trivially_copyable_v<Header>);

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

[[noreturn]] void damaged(const std::filesystem::path& file, const std::string& what) {
  throw Error(file.string(), what, "a whole entry of the pack cache");
}

// Of the header, but for the hash itself, and all that follows.
uint64_t hash_of(const Header& header, std::span<const std::byte> data) {
  std::array<std::byte, sizeof(Header)> bytes;
  std::memcpy(bytes.data(), static_cast<const void*>(&header), sizeof(Header));
  constexpr size_t kAt = offsetof(Header, data_hash);
  std::fill_n(bytes.begin() + kAt, sizeof(header.data_hash), std::byte{0});
  return XXH3_64bits_withSeed(data.data(), data.size(), XXH3_64bits(bytes.data(), bytes.size()));
}

Header read_header(std::span<const std::byte> bytes, const std::filesystem::path& file) {
  Header header;
  if (bytes.size() < sizeof(Header)) damaged(file, "is cut off");
  std::memcpy(static_cast<void*>(&header), bytes.data(), sizeof(Header));
  if (header.magic != kMagic || header.version != kPackVersion) damaged(file, "is no entry of this version");
  if (header.file_bytes != bytes.size()) damaged(file, "is " + std::to_string(bytes.size()) + " bytes long");
  if (header.data_hash != hash_of(header, bytes.subspan(sizeof(Header))))
    damaged(file, "holds other bytes than were written");
  return header;
}

Tensor part_of(const PartHeader& part, const std::shared_ptr<MappedFile>& map) {
  if (part.rank < 0) return {};
  const std::span<const std::byte> bytes = map->bytes();
  const bool inside =
      part.begin % kAlignment == 0 && part.begin <= bytes.size() && part.bytes <= bytes.size() - part.begin;
  if (!inside || part.rank > Shape::kMaxRank) damaged(map->path(), "has a part that lies outside");
  const auto& e = part.extents;
  const Shape shapes[] = {Shape{}, Shape{e[0]}, Shape{e[0], e[1]}, Shape{e[0], e[1], e[2]},
                          Shape{e[0], e[1], e[2], e[3]}};
  if (part.rank >= static_cast<int32_t>(std::size(shapes))) damaged(map->path(), "has a part of a rank nobody writes");
  const auto dtype = static_cast<DType>(part.dtype);
  const Shape& shape = shapes[part.rank];
  if (static_cast<uint64_t>(storage_bytes(dtype, shape.count())) != part.bytes)
    damaged(map->path(), "has a part of another size than its shape");
  return Tensor(Buffer::view(bytes.data() + part.begin, part.bytes, map), 0, dtype, shape);
}

}  // namespace

struct PackCache::Key::State {
  XXH3_state_t* hash = XXH3_createState();
  State() { XXH3_128bits_reset(hash); }
  ~State() { XXH3_freeState(hash); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

PackCache::Key::Key() : state_(std::make_unique<State>()) {
  add("version " + std::to_string(kPackVersion));
}
PackCache::Key::~Key() = default;
PackCache::Key::Key(Key&&) noexcept = default;
PackCache::Key& PackCache::Key::operator=(Key&&) noexcept = default;

void PackCache::Key::add(std::string_view text) {
  add(std::as_bytes(std::span(text)));
}

void PackCache::Key::add(std::span<const std::byte> bytes) {
  const uint64_t size = bytes.size();  // so that no two lists of parts run together to the same bytes
  XXH3_128bits_update(state_->hash, &size, sizeof(size));
  XXH3_128bits_update(state_->hash, bytes.data(), bytes.size());
}

std::string PackCache::Key::text() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->hash);
  std::string out;
  for (const uint64_t half : {hash.high64, hash.low64}) {
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(half >> shift) & 15];
  }
  return out;
}

PackCache::PackCache(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::error_code failed;
  std::filesystem::create_directories(folder_, failed);
  if (failed) throw Error(folder_.string(), "cannot be made: " + failed.message(), "a folder for --pack-cache");
  write_file_whole(folder_ / "VERSION", std::to_string(kPackVersion) + "\n");
}

std::filesystem::path PackCache::path(const Key& key) const {
  return folder_ / (key.text() + ".pack");
}

std::optional<PackCache::Entry> PackCache::find(const Key& key, int64_t rows, int64_t cols) const {
  const std::filesystem::path file = path(key);
  std::error_code failed;
  ++misses_;
  if (!std::filesystem::exists(file, failed)) return std::nullopt;
  try {
    auto map = std::make_shared<MappedFile>(file);
    const Header header = read_header(map->bytes(), file);
    if (header.rows != rows || header.cols != cols) damaged(file, "is of another matrix");
    Entry entry;
    entry.weight.scheme = header.scheme;
    entry.weight.layout = static_cast<Layout>(header.layout);
    entry.weight.rows = rows;
    entry.weight.cols = cols;
    if (header.errors > (map->bytes().size() - sizeof(Header)) / sizeof(double)) damaged(file, "is cut off");
    entry.errors.resize(header.errors);
    std::memcpy(entry.errors.data(), map->bytes().data() + sizeof(Header), header.errors * sizeof(double));
    for (size_t i = 0; i < kParts.size(); ++i) entry.weight.*kParts[i] = part_of(header.parts[i], map);
    ++hits_, --misses_;
    return entry;
  } catch (const Error& error) {
    log_warning(std::string("pack cache: ") + error.what() + ": made anew");
    return std::nullopt;
  }
}

void PackCache::store(const Key& key, const Entry& entry) const {
  Header header;
  header.layout = static_cast<int32_t>(entry.weight.layout);
  header.scheme = entry.weight.scheme;
  header.rows = entry.weight.rows;
  header.cols = entry.weight.cols;
  header.errors = entry.errors.size();
  size_t end = aligned(sizeof(Header) + entry.errors.size() * sizeof(double));
  for (size_t i = 0; i < kParts.size(); ++i) {
    const Tensor& tensor = entry.weight.*kParts[i];
    PartHeader& part = header.parts[i];
    part.rank = tensor.empty() ? -1 : tensor.shape().rank();
    if (tensor.empty()) continue;
    part.dtype = static_cast<int32_t>(tensor.dtype());
    for (int axis = 0; axis < part.rank; ++axis) part.extents[static_cast<size_t>(axis)] = tensor.shape()[axis];
    part.begin = end;
    part.bytes = static_cast<uint64_t>(tensor.bytes());
    end = aligned(end + part.bytes);
  }
  header.file_bytes = end;
  try {
    std::string bytes(end, '\0');
    std::memcpy(bytes.data() + sizeof(Header), entry.errors.data(), entry.errors.size() * sizeof(double));
    for (size_t i = 0; i < kParts.size(); ++i) {
      const Tensor& tensor = entry.weight.*kParts[i];
      if (!tensor.empty()) std::memcpy(bytes.data() + header.parts[i].begin, tensor.raw(), header.parts[i].bytes);
    }
    header.data_hash = hash_of(header, std::as_bytes(std::span(bytes)).subspan(sizeof(Header)));
    std::memcpy(bytes.data(), static_cast<const void*>(&header), sizeof(Header));
    write_file_whole(path(key), bytes);
  } catch (const std::exception& error) {
    log_warning(std::string("pack cache: ") + error.what() + ": this weight is quantized anew next time");
  }
}

}  // namespace omni
