#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace omni {
namespace {

std::string reason() {
  return std::strerror(errno);
}

// An open descriptor of a regular file, closed on destruction.
struct Descriptor {
  int fd = -1;
  explicit Descriptor(int f) : fd(f) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

int open_regular(const std::filesystem::path& path, size_t* size) {
  // O_NONBLOCK: a FIFO under the name must be refused, not waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw Error(path.string(), "cannot be opened: " + reason(), "a readable file");
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    throw Error(path.string(), "is not a regular file", "a regular file");
  }
  *size = static_cast<size_t>(info.st_size);
  return fd;
}

}  // namespace

std::string read_file(const std::filesystem::path& path, size_t limit) {
  size_t size = 0;
  const Descriptor file(open_regular(path, &size));
  if (size > limit) {
    throw Error(path.string(), "is " + std::to_string(size) + " bytes long",
                "at most " + std::to_string(limit) + " bytes");
  }
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(file.fd, bytes.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(path.string(), "cannot be read: " + reason());
    if (n == 0) throw Error(path.string(), "became shorter while it was read");
    done += static_cast<size_t>(n);
  }
  return bytes;
}

void write_file_whole(const std::filesystem::path& path, std::string_view bytes) {
  std::string temporary = path.string() + ".XXXXXX";
  const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.fd < 0) throw Error(path.string(), "cannot be written: " + reason(), "a writable folder");
  const auto give_up = [&](const char* what) {
    const std::string why = reason();
    ::unlink(temporary.c_str());
    throw Error(path.string(), std::string(what) + ": " + why, "room for " + std::to_string(bytes.size()) + " bytes");
  };
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(file.fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) give_up("cannot be written");
    done += static_cast<size_t>(n);
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(file.fd, 0666 & ~mask) != 0) give_up("cannot be made readable");
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up("cannot be put in place");
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(open_regular(path, &size_));
  if (size_ == 0) return;  // mmap refuses empty ranges; an empty span is what such a file holds
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) throw Error(path.string(), "cannot be mapped: " + reason());
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(size_t begin, size_t bytes) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = (begin + page - 1) / page * page, last = (begin + bytes) / page * page;
  if (data_ == nullptr || last <= first || last > size_) return;
  (void)::madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);  // advice: failing costs nothing
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

}  // namespace omni
