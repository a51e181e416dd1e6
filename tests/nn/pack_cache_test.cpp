#include "nn/pack_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/files.h"
#include "kernels/linear.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

Weight packed(const char* scheme, int64_t rows = 40, int64_t cols = 256) {
  ThreadPool pool(1);
  Exec exec;
  exec.pool = &pool;
  const Tensor values = testing::random_tensor(Shape{rows, cols}, 7);
  const LinearProblem problem{.scheme = *parse_scheme(scheme), .n = rows, .k = cols};
  return choose_linear_kernel(problem, "test").kernel->pack(exec, encode(values, problem.scheme, "test", nullptr));
}

PackCache::Key key_of(std::string_view text) {
  PackCache::Key key;
  key.add(text);
  return key;
}

void expect_same(const Weight& a, const Weight& b) {
  EXPECT_EQ(a.scheme, b.scheme);
  EXPECT_EQ(a.layout, b.layout);
  for (const auto part : {&Weight::codes, &Weight::scales, &Weight::outer_scales, &Weight::zeros, &Weight::outer_zeros,
                          &Weight::panel_sums}) {
    ASSERT_EQ((a.*part).empty(), (b.*part).empty());
    if ((a.*part).empty()) continue;
    EXPECT_EQ((a.*part).dtype(), (b.*part).dtype());
    EXPECT_EQ((a.*part).shape(), (b.*part).shape());
    EXPECT_EQ(std::memcmp((a.*part).raw(), (b.*part).raw(), static_cast<size_t>((a.*part).bytes())), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>((b.*part).raw()) % 64, 0u);
  }
}

class PackCacheTest : public ::testing::Test {
 protected:
  fs::path entry_file() const {
    for (const fs::directory_entry& file : fs::directory_iterator(folder_.path())) {
      if (file.path().extension() == ".pack") return file.path();
    }
    return {};
  }
  testing::TemporaryFolder folder_;
};

TEST_F(PackCacheTest, WhatIsStoredComesBack) {
  const PackCache cache(folder_.path());
  for (const char* scheme : {"int8", "fp8", "nvfp4", "q4_k", "int4/g32/asym", "q6_k"}) {
    const Weight weight = packed(scheme);
    EXPECT_FALSE(cache.find(key_of(scheme), 40, 256)) << scheme;
    cache.store(key_of(scheme), {weight, {0.25, 0.5}});
    const std::optional<PackCache::Entry> found = cache.find(key_of(scheme), 40, 256);
    ASSERT_TRUE(found) << scheme;
    expect_same(weight, found->weight);
    EXPECT_EQ(found->errors, (std::vector<double>{0.25, 0.5}));
  }
  EXPECT_EQ(cache.hits(), 6);
  EXPECT_EQ(cache.misses(), 6);
}

TEST_F(PackCacheTest, AKeyDependsOnEveryPartAndOnWhereItEnds) {
  const auto of = [](std::initializer_list<std::string_view> parts) {
    PackCache::Key key;
    for (const std::string_view part : parts) key.add(part);
    return key.text();
  };
  EXPECT_EQ(of({"a", "b"}), of({"a", "b"}));
  EXPECT_NE(of({"a", "b"}), of({"b", "a"}));
  EXPECT_NE(of({"ab", ""}), of({"a", "b"}));
  EXPECT_NE(of({"a"}), of({"a", ""}));
  EXPECT_EQ(of({"a"}).size(), 32u);
}

TEST_F(PackCacheTest, ADamagedEntryIsMadeAnew) {
  const PackCache cache(folder_.path());
  const PackCache::Key key = key_of("x");
  cache.store(key, {packed("int8"), {0.5}});
  const std::string sound = read_file(entry_file(), 1 << 20);
  const size_t last = sound.size() - 1;
  for (const size_t at : {size_t{0}, size_t{8}, size_t{40}, size_t{200}, sound.size() / 2, last}) {
    std::string bytes = sound;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    write_file_whole(entry_file(), bytes);
    EXPECT_FALSE(cache.find(key, 40, 256)) << "a bit of byte " << at;
  }
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, last}) {
    write_file_whole(entry_file(), sound.substr(0, size));
    EXPECT_FALSE(cache.find(key, 40, 256)) << size;
  }
  write_file_whole(entry_file(), sound);
  EXPECT_TRUE(cache.find(key, 40, 256));
  EXPECT_FALSE(cache.find(key, 40, 128)) << "another matrix";
}

TEST_F(PackCacheTest, AFolderThatCannotBeMadeIsAnError) {
  std::ofstream(folder_.path() / "file") << "x";
  EXPECT_THROW(PackCache(folder_.path() / "file" / "below"), Error);
}

}  // namespace
}  // namespace omni
