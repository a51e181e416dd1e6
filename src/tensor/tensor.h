#pragma once
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>

#include "tensor/dtype.h"

namespace omni {

enum class DeviceKind : uint8_t { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;
  bool operator==(const Device&) const = default;
};

// Up to five extents, outermost first. A value.
class Shape {
 public:
  static constexpr int kMaxRank = 5;
  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);
  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return extents_[static_cast<size_t>(axis < 0 ? axis + rank_ : axis)]; }
  int64_t count() const;  // number of elements; 1 for rank 0
  bool operator==(const Shape&) const = default;
  std::string text() const;  // "[288, 256]"

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

// Bytes on one device, shared by the tensors that look into them. Aligned to 64 bytes (CPU).
class Buffer {
 public:
  static std::shared_ptr<Buffer> allocate(Device device,
                                          size_t bytes);  // uninitialised; throws Error when memory is out
  // Looks into memory that owner keeps alive (a mapped file).
  static std::shared_ptr<Buffer> view(const void* data, size_t bytes, std::shared_ptr<const void> owner);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  Buffer(Device device, std::byte* data, size_t bytes, std::shared_ptr<const void> owner);
  Device device_;
  std::byte* data_;
  size_t bytes_;
  std::shared_ptr<const void> owner_;  // empty: this buffer owns data_
};

// dtype + shape + row stride + a shared Buffer. Dense except that rows (the last axis) may lie further apart than
// their length, so that one part of a merged output is a Tensor too. No autograd, no laziness; copying shares bytes.
class Tensor {
 public:
  Tensor() = default;
  // Uninitialised memory.
  Tensor(DType dtype, Shape shape, Device device = {});
  Tensor(std::shared_ptr<Buffer> buffer, size_t byte_offset, DType dtype, Shape shape);

  bool empty() const { return buffer_ == nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  Device device() const { return buffer_ == nullptr ? Device{} : buffer_->device(); }
  // rows x cols: the tensor seen as a matrix whose columns are the last axis.
  int64_t rows() const { return shape_.rank() == 0 ? 1 : shape_.count() / cols_or_one(); }
  int64_t cols() const { return shape_.rank() == 0 ? 1 : shape_[-1]; }
  int64_t row_stride() const { return row_stride_; }  // elements between the starts of two rows
  bool contiguous() const { return row_stride_ == cols(); }
  int64_t bytes() const { return storage_bytes(dtype_, shape_.count()); }

  std::byte* raw() const { return buffer_ == nullptr ? nullptr : buffer_->data() + offset_; }
  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(raw());
  }
  float* f32() const {
    assert(dtype_ == DType::kF32);
    return data<float>();
  }

  Tensor reshaped(Shape shape) const;                    // same elements; this must be contiguous
  Tensor columns(int64_t begin, int64_t count) const;    // a part of every row; shape [rows, count]
  Tensor row_range(int64_t begin, int64_t count) const;  // rows [begin, begin + count); shape [count, cols]

 private:
  int64_t cols_or_one() const { return shape_[-1] == 0 ? 1 : shape_[-1]; }
  std::shared_ptr<Buffer> buffer_;
  size_t offset_ = 0;
  Shape shape_;
  int64_t row_stride_ = 0;
  DType dtype_ = DType::kNone;
};

// A new contiguous CPU tensor of f32 values, from any float or integer dtype stored a value (not packed codes).
Tensor to_f32(const Tensor& tensor);
// A new contiguous CPU tensor in dtype (f32, f16, bf16), rounded to nearest even.
Tensor cast(const Tensor& tensor, DType dtype);

}  // namespace omni
