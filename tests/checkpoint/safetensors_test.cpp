#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors_write.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

std::string refusal(const fs::path& path) {
  try {
    (void)open_safetensors(path);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void write_index(const fs::path& folder, const std::string& weight_map) {
  write_file_whole(folder / "model.safetensors.index.json", "{\"weight_map\": " + weight_map + "}");
}

TEST(Safetensors, WhatIsWrittenIsReadBackExactly) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  const Tensor wide = testing::random_tensor(Shape{3, 7}, 5);
  const Tensor narrow = cast(wide, DType::kBF16);
  Tensor bytes(DType::kU8, Shape{3});
  std::memcpy(bytes.raw(), "abc", 3);
  const Tensor nothing(DType::kF16, Shape{0, 4});
  write_safetensors(path, {{"u", bytes}, {"narrow", narrow}, {"wide", wide}, {"none", nothing}}, {{"who", "test"}});
  const auto checkpoint = open_safetensors(path);
  EXPECT_EQ(checkpoint->names(), (std::vector<std::string>{"narrow", "none", "u", "wide"}));
  EXPECT_EQ(checkpoint->metadata("who"), "test");
  EXPECT_EQ(checkpoint->metadata("nobody"), "");
  EXPECT_EQ(checkpoint->find("absent"), nullptr);
  for (const auto& [name, want] : std::vector<NamedTensor>{{"u", bytes}, {"narrow", narrow}, {"wide", wide}}) {
    const Tensor got = checkpoint->tensor(name);
    EXPECT_EQ(got.dtype(), want.dtype());
    EXPECT_EQ(got.shape(), want.shape());
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(want.bytes())), 0) << name;
  }
  EXPECT_EQ(checkpoint->tensor("none").shape(), (Shape{0, 4}));
  EXPECT_THROW((void)checkpoint->tensor("absent"), Error);
}

TEST(Safetensors, TensorsOutliveTheCheckpoint) {
  const testing::TemporaryFolder folder;
  const Tensor want = testing::random_tensor(Shape{8}, 6);
  write_safetensors(folder.path() / "x.safetensors", {{"a", want}});
  const Tensor got = open_safetensors(folder.path() / "x.safetensors")->tensor("a");
  EXPECT_EQ(testing::compare(got, want).over_range, 0);
}

TEST(Safetensors, ValuesBehindAnOddHeaderLengthAreReadable) {
  const std::string json = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} )";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(json.size() | 1);
  const std::string padded = json + std::string((json.size() | 1) - json.size(), ' ');
  const float values[2] = {1.5f, -2.0f};
  const testing::TemporaryFolder folder;
  write_file_whole(folder.path() / "odd.safetensors",
                   bytes + padded + std::string(reinterpret_cast<const char*>(values), sizeof values));
  const Tensor got = open_safetensors(folder.path() / "odd.safetensors")->tensor("a");
  EXPECT_EQ(got.f32()[0], 1.5f);
  EXPECT_EQ(got.f32()[1], -2.0f);
}

TEST(Safetensors, AnotherToolsFileIsRead) {
  const auto checkpoint = open_safetensors(testing::golden("mini-flux.safetensors"));
  EXPECT_FALSE(checkpoint->names().empty());
}

TEST(Safetensors, AnIndexOpensItsShardsAndIgnoresStaleTensors) {
  const testing::TemporaryFolder folder;
  write_safetensors(folder.path() / "1.safetensors", {{"a", testing::random_tensor(Shape{2}, 1)}});
  write_safetensors(folder.path() / "2.safetensors",
                    {{"b", testing::random_tensor(Shape{3}, 2)}, {"stale", testing::random_tensor(Shape{1}, 3)}});
  write_index(folder.path(), R"({"a": "1.safetensors", "b": "2.safetensors"})");
  const auto checkpoint = open_safetensors(folder.path());
  EXPECT_EQ(checkpoint->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(checkpoint->find("b")->file.filename(), "2.safetensors");
  EXPECT_EQ(open_safetensors(folder.path() / "model.safetensors.index.json")->names().size(), 2u);
}

TEST(Safetensors, AFolderOfSeveralFilesWithoutAnIndexIsRefused) {
  const testing::TemporaryFolder folder;
  EXPECT_TRUE(has(refusal(folder.path()), "holds no .safetensors file"));
  write_safetensors(folder.path() / "1.safetensors", {});
  EXPECT_EQ(refusal(folder.path()), "");
  write_safetensors(folder.path() / "2.safetensors", {});
  EXPECT_TRUE(has(refusal(folder.path()), "several files and no index: 1.safetensors, 2.safetensors"));
  write_safetensors(folder.path() / "model.safetensors", {{"a", testing::random_tensor(Shape{2}, 1)}});
  EXPECT_EQ(open_safetensors(folder.path())->names(), std::vector<std::string>{"a"}) << "the usual name decides";
}

TEST(Safetensors, AHubCacheEntryOpensThroughItsLinks) {
  const testing::TemporaryFolder root;
  const fs::path repo = root.path() / "models--a--b", snapshot = repo / "snapshots/123/transformer";
  fs::create_directories(snapshot);
  fs::create_directories(repo / "blobs");
  write_safetensors(repo / "blobs/cafe", {{"a", testing::random_tensor(Shape{2}, 1)}});
  fs::create_symlink("../../../blobs/cafe", snapshot / "1.safetensors");
  write_index(snapshot, R"({"a": "1.safetensors"})");
  EXPECT_EQ(refusal(snapshot), "");
}

TEST(Safetensors, AShardThatLinksElsewhereIsRefused) {
  const testing::TemporaryFolder root, elsewhere;
  write_safetensors(elsewhere.path() / "x.safetensors", {{"a", testing::random_tensor(Shape{2}, 1)}});
  fs::create_symlink(elsewhere.path() / "x.safetensors", root.path() / "1.safetensors");
  write_index(root.path(), R"({"a": "1.safetensors"})");
  EXPECT_TRUE(has(refusal(root.path()), "index.json: a: '1.safetensors' links to")) << refusal(root.path());
}

TEST(Safetensors, ARefusedWriteLeavesNothing) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "x.safetensors";
  EXPECT_THROW(write_safetensors(path, {{"a", Tensor(DType::kNF4, Shape{2, 2})}}), Error);
  EXPECT_THROW(write_safetensors(path, {{"\xff", testing::random_tensor(Shape{1}, 1)}}), Error);
  const Tensor twice = testing::random_tensor(Shape{1}, 1);
  EXPECT_THROW(write_safetensors(path, {{"a", twice}, {"a", twice}}), Error);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, TensorsBeyondTheLimitBecomeShardsWithAnIndex) {
  const testing::TemporaryFolder folder;
  const Tensor a = testing::random_tensor(Shape{4, 4}, 1), b = testing::random_tensor(Shape{40}, 2);
  const Tensor c = testing::random_tensor(Shape{3}, 3);
  SafetensorsWriter writer(
      folder.path() / "model.safetensors",
      {{"c", DType::kF32, c.shape()}, {"b", DType::kF32, b.shape()}, {"a", DType::kF32, a.shape()}},
      {.metadata = {{"format", "pt"}}, .shard_bytes = 100});
  const auto bytes = [](const Tensor& t) { return std::span(t.raw(), static_cast<size_t>(t.bytes())); };
  writer.write("b", bytes(b));
  writer.write("a", bytes(a));
  writer.write("c", bytes(c));
  EXPECT_FALSE(fs::exists(folder.path() / "model.safetensors.index.json"));
  writer.keep();
  for (const char* file : {"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                           "model-00003-of-00003.safetensors", "model.safetensors.index.json"}) {
    EXPECT_TRUE(fs::exists(folder.path() / file)) << file;
  }
  const auto checkpoint = open_safetensors(folder.path());
  EXPECT_EQ(checkpoint->names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(checkpoint->tensor("b").f32()[39], b.f32()[39]);
  EXPECT_EQ(checkpoint->tensor("a").f32()[15], a.f32()[15]);
  EXPECT_EQ(checkpoint->tensor("c").f32()[2], c.f32()[2]);
}

TEST(SafetensorsWriter, GivenUpItLeavesNothing) {
  const testing::TemporaryFolder folder;
  {
    SafetensorsWriter writer(folder.path() / "x.safetensors", {{"a", DType::kF32, Shape{1000}}}, {});
    EXPECT_FALSE(fs::exists(folder.path() / "x.safetensors"));
    EXPECT_FALSE(fs::is_empty(folder.path()));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Npy, RoundTripsEveryReadableDtype) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "x.npy";
  for (const DType dtype : {DType::kF32, DType::kI32, DType::kI64, DType::kU8}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 0}, Shape{2, 3, 1, 2, 1}}) {
      Tensor want(dtype, shape);
      for (int64_t i = 0; i < want.bytes(); ++i) want.raw()[i] = static_cast<std::byte>(i * 7);
      write_npy(path, want);
      const Tensor got = read_npy(path);
      EXPECT_EQ(got.dtype(), dtype);
      EXPECT_EQ(got.shape(), shape) << got.shape().text();
      EXPECT_EQ(std::memcmp(got.raw(), want.raw(), static_cast<size_t>(want.bytes())), 0) << shape.text();
    }
  }
  write_npy(path, testing::random_tensor(Shape{4, 6}, 1).columns(2, 3));
  EXPECT_EQ(read_npy(path).shape(), (Shape{4, 3}));
  EXPECT_EQ(read_npy(path).f32()[3], testing::random_tensor(Shape{4, 6}, 1).f32()[8]);
  EXPECT_THROW(write_npy(path, Tensor(DType::kBF16, Shape{1})), Error);
}

TEST(Npy, DamagedFilesAreRefused) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "x.npy";
  const auto refused = [&](const std::string& header, size_t values) {
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += {static_cast<char>(header.size()), '\0'};
    write_file_whole(path, bytes + header + std::string(values, 'x'));
    try {
      (void)read_npy(path);
    } catch (const Error& e) {
      return has(e.what(), "x.npy");
    }
    return false;
  };
  EXPECT_FALSE(refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 8));
  EXPECT_TRUE(refused("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 7));
  EXPECT_TRUE(refused("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", 8));
  EXPECT_TRUE(refused("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", 8));
  EXPECT_TRUE(refused("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0));
  EXPECT_TRUE(refused("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", 0));
  EXPECT_TRUE(refused("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1), }", 4));
  EXPECT_TRUE(refused("{'descr': '<f4', 'shape': (2,), }", 8));
  EXPECT_TRUE(refused("{'descr': '<f4", 8));
  EXPECT_TRUE(refused("", 8));
  write_file_whole(path, "\x93NUMPY\x01");
  EXPECT_THROW((void)read_npy(path), Error);
}

}  // namespace
}  // namespace omni
