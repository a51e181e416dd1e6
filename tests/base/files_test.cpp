#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/error.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Files, AWholeFileIsWrittenAndReadBack) {
  const testing::TemporaryFolder folder;
  const fs::path file = folder.path() / "a";
  write_file_whole(file, "first");
  write_file_whole(file, std::string("sec\0nd", 6));
  EXPECT_EQ(read_file(file, 100), std::string("sec\0nd", 6));
  EXPECT_EQ(MappedFile(file).bytes().size(), 6u);
  EXPECT_EQ(entries(folder.path()), 1u) << "a temporary file was left";
}

TEST(Files, AFailedWriteLeavesNothing) {
  const testing::TemporaryFolder folder;
  fs::create_directory(folder.path() / "taken");
  EXPECT_THROW(write_file_whole(folder.path() / "taken", "x"), Error);  // a folder cannot be replaced
  EXPECT_EQ(entries(folder.path()), 1u);
  EXPECT_THROW(write_file_whole(folder.path() / "none" / "x", "x"), Error);
}

TEST(Files, WhatIsNoRegularFileOrTooLargeIsRefusedByName) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(read_file(folder.path() / "missing", 10), Error);
  EXPECT_THROW(read_file(folder.path(), 10), Error);
  const fs::path fifo = folder.path() / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THROW(read_file(fifo, 10), Error);
  EXPECT_THROW(MappedFile{fifo}, Error);
  const fs::path large = folder.path() / "large";
  write_file_whole(large, "0123456789");
  EXPECT_EQ(read_file(large, 10).size(), 10u);
  try {
    read_file(large, 9);
    FAIL() << "read beyond its limit";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("large: is 10 bytes long (expected at most 9 bytes)"), std::string::npos)
        << e.what();
  }
  write_file_whole(large, "");
  EXPECT_TRUE(MappedFile(large).bytes().empty());
}

}  // namespace
}  // namespace omni
