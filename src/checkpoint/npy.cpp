#include <array>
#include <cctype>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/safetensors.h"

namespace omni {
namespace {

// numpy.lib.format, version 1.0: magic, version, 2 bytes of header length, a Python dictionary, the values.
constexpr std::string_view kMagic{"\x93NUMPY\x01\x00", 8};
constexpr size_t kPrefixBytes = 10;
constexpr size_t kMaxFileBytes = size_t{16} << 30;

struct Descr {
  std::string_view text;
  DType dtype;
};
constexpr std::array kDescrs = {
    Descr{"<f4", DType::kF32}, Descr{"<f2", DType::kF16}, Descr{"<i4", DType::kI32},
    Descr{"<i8", DType::kI64}, Descr{"|u1", DType::kU8},
};

struct NpyHeader {
  DType dtype = DType::kNone;
  std::vector<int64_t> shape;
};

// Reads the dictionary that NumPy writes: three known keys in any order, a comma allowed after the last.
class DictReader {
 public:
  DictReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader read() {
    NpyHeader header;
    bool descr = false, order = false, shape = false;
    require('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      require(':');
      if (key == "descr" && !descr) {
        header.dtype = read_descr();
        descr = true;
      } else if (key == "fortran_order" && !order) {
        read_order();
        order = true;
      } else if (key == "shape" && !shape) {
        header.shape = read_shape();
        shape = true;
      } else {
        fail("the key '" + std::string(key) + "'");
      }
      if (!accept(',')) {
        require('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size() || !descr || !order || !shape) fail("an incomplete header");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(where_, what + " in the header", "the keys descr, fortran_order and shape, each once");
  }
  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void require(char c) {
    if (!accept(c)) fail(std::string("no '") + c + "' at byte " + std::to_string(at_));
  }
  std::string_view quoted() {
    require('\'');
    const size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) fail("an open string");
    const std::string_view out = text_.substr(at_, end - at_);
    at_ = end + 1;
    return out;
  }
  DType read_descr() {
    const std::string_view descr = quoted();
    for (const Descr& d : kDescrs) {
      if (d.text == descr && d.dtype != DType::kF16) return d.dtype;
    }
    throw Error(where_, "values of type " + std::string(descr), "<f4, <i4, <i8 or |u1");
  }
  void read_order() {
    skip_space();
    if (text_.substr(at_).starts_with("True")) throw Error(where_, "is in Fortran order", "C order");
    if (!text_.substr(at_).starts_with("False")) fail("fortran_order is neither True nor False");
    at_ += 5;
  }
  std::vector<int64_t> read_shape() {
    std::vector<int64_t> shape;
    require('(');
    while (!accept(')')) {
      skip_space();
      const size_t begin = at_;
      int64_t extent = 0;
      for (; at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0; ++at_) {
        if (__builtin_mul_overflow(extent, int64_t{10}, &extent) ||
            __builtin_add_overflow(extent, int64_t{text_[at_] - '0'}, &extent)) {
          fail("a dimension beyond 64 bits");
        }
      }
      if (at_ == begin) fail("a dimension that is no number");
      shape.push_back(extent);
      if (!accept(',')) {
        require(')');
        break;
      }
    }
    if (shape.size() > Shape::kMaxRank) fail("a shape of " + std::to_string(shape.size()) + " dimensions (at most 5)");
    return shape;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  std::string_view descr;
  for (const Descr& d : kDescrs) {
    if (d.dtype == tensor.dtype()) descr = d.text;
  }
  if (descr.empty()) {
    throw Error(path.string(), "NumPy has no dtype " + std::string(dtype_name(tensor.dtype())),
                "f32, f16, i32, i64, u8");
  }
  const Shape& shape = tensor.shape();
  std::string header = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (int axis = 0; axis < shape.rank(); ++axis) {
    header += (axis > 0 ? ", " : "") + std::to_string(shape[axis]) + (shape.rank() == 1 ? "," : "");
  }
  header += "), }";
  header.append(63 - (kPrefixBytes + header.size()) % 64, ' ');  // values begin at a multiple of 64
  header += '\n';
  std::string bytes(kMagic);
  bytes.push_back(static_cast<char>(header.size() & 0xff));
  bytes.push_back(static_cast<char>(header.size() >> 8));
  bytes += header;
  const auto row_bytes = static_cast<size_t>(storage_bytes(tensor.dtype(), tensor.cols()));
  for (int64_t row = 0; tensor.shape().count() > 0 && row < tensor.rows(); ++row) {
    const std::byte* source = tensor.raw() + storage_bytes(tensor.dtype(), row * tensor.row_stride());
    bytes.append(reinterpret_cast<const char*>(source), row_bytes);
  }
  write_file_whole(path, bytes);
}

Tensor read_npy(const std::filesystem::path& path) {
  const std::string where = path.string();
  const std::string bytes = read_file(path, kMaxFileBytes);
  const std::string_view view = bytes;
  if (!view.starts_with(kMagic) || view.size() < kPrefixBytes) {
    throw Error(where, "does not begin like a .npy file of version 1.0", "the bytes \\x93NUMPY 1 0");
  }
  const size_t length = static_cast<unsigned char>(view[8]) | size_t{static_cast<unsigned char>(view[9])} << 8;
  if (length > view.size() - kPrefixBytes) {
    throw Error(where, "a header of " + std::to_string(length) + " bytes",
                "a header within the " + std::to_string(view.size()) + " bytes of the file");
  }
  const NpyHeader header = DictReader(view.substr(kPrefixBytes, length), where).read();
  const std::string_view values = view.substr(kPrefixBytes + length);
  int64_t count = 1;
  bool overflow = false;
  for (const int64_t extent : header.shape) overflow |= __builtin_mul_overflow(count, extent, &count);
  overflow |= count > std::numeric_limits<int64_t>::max() / 64;
  if (overflow || static_cast<size_t>(storage_bytes(header.dtype, count)) != values.size()) {
    throw Error(where, std::to_string(values.size()) + " bytes of values",
                overflow ? "a shape whose size fits 64 bits"
                         : std::to_string(storage_bytes(header.dtype, count)) + " bytes, as the shape says");
  }
  Tensor out(header.dtype, make_shape(header.shape));
  if (!values.empty()) std::memcpy(out.raw(), values.data(), values.size());
  return out;
}

}  // namespace omni
