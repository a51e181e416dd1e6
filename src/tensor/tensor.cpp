#include "tensor/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"
#include "tensor/float_bits.h"

namespace omni {

Shape::Shape(std::initializer_list<int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  assert(extents.size() <= kMaxRank);
  size_t i = 0;
  for (const int64_t extent : extents) extents_[i++] = extent;
}

int64_t Shape::count() const {
  int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) product *= extents_[static_cast<size_t>(axis)];
  return product;
}

std::string Shape::text() const {
  std::string out = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) out += ", ";
    out += std::to_string(extents_[static_cast<size_t>(axis)]);
  }
  return out + "]";
}

Buffer::Buffer(Device device, std::byte* data, size_t bytes, std::shared_ptr<const void> owner)
    : device_(device), data_(data), bytes_(bytes), owner_(std::move(owner)) {}

std::shared_ptr<Buffer> Buffer::allocate(Device device, size_t bytes) {
  if (device.kind != DeviceKind::kCpu) throw Error("device", "this build has no CUDA memory", "--device cpu");
  // Large buffers lie on huge pages where the system has them: fewer faults, and address translations that stay cached.
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
  const size_t rounded = (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* data = std::aligned_alloc(alignment, rounded);
#if defined(MADV_HUGEPAGE)
  if (data != nullptr && alignment == kHugePage) madvise(data, rounded, MADV_HUGEPAGE);  // advice: may be refused
#endif
  if (data == nullptr)
    throw Error("memory", "no room for " + std::to_string(bytes) + " bytes", "a smaller size or batch");
  return std::shared_ptr<Buffer>(new Buffer(device, static_cast<std::byte*>(data), bytes, nullptr));
}

std::shared_ptr<Buffer> Buffer::view(const void* data, size_t bytes, std::shared_ptr<const void> owner) {
  assert(owner != nullptr);
  auto* start = const_cast<std::byte*>(static_cast<const std::byte*>(data));
  return std::shared_ptr<Buffer>(new Buffer(Device{}, start, bytes, std::move(owner)));
}

Buffer::~Buffer() {
  if (owner_ == nullptr) std::free(data_);
}

Tensor::Tensor(DType dtype, Shape shape, Device device)
    : buffer_(Buffer::allocate(device, static_cast<size_t>(storage_bytes(dtype, shape.count())))),
      shape_(shape),
      row_stride_(shape.rank() == 0 ? 1 : shape[-1]),
      dtype_(dtype) {}

Tensor::Tensor(std::shared_ptr<Buffer> buffer, size_t byte_offset, DType dtype, Shape shape)
    : buffer_(std::move(buffer)),
      offset_(byte_offset),
      shape_(shape),
      row_stride_(shape.rank() == 0 ? 1 : shape[-1]),
      dtype_(dtype) {
  assert(offset_ + static_cast<size_t>(storage_bytes(dtype, shape.count())) <= buffer_->bytes());
}

Tensor Tensor::reshaped(Shape shape) const {
  assert(contiguous() && shape.count() == shape_.count());
  Tensor out = *this;
  out.shape_ = shape;
  out.row_stride_ = shape.rank() == 0 ? 1 : shape[-1];
  return out;
}

Tensor Tensor::columns(int64_t begin, int64_t count) const {
  assert(begin >= 0 && begin + count <= cols());
  Tensor out = *this;
  out.shape_ = Shape{rows(), count};
  out.offset_ += static_cast<size_t>(storage_bytes(dtype_, begin));
  return out;
}

Tensor Tensor::row_range(int64_t begin, int64_t count) const {
  assert(begin >= 0 && begin + count <= rows());
  Tensor out = *this;
  out.shape_ = Shape{count, cols()};
  out.offset_ += static_cast<size_t>(storage_bytes(dtype_, begin * row_stride_));
  return out;
}

namespace {

float load_value(DType dtype, const std::byte* data, int64_t i) {
  switch (dtype) {
    case DType::kF32:
      return reinterpret_cast<const float*>(data)[i];
    case DType::kF16:
      return f16_to_f32(reinterpret_cast<const uint16_t*>(data)[i]);
    case DType::kBF16:
      return bf16_to_f32(reinterpret_cast<const uint16_t*>(data)[i]);
    case DType::kF8E4M3:
      return f8e4m3_to_f32(reinterpret_cast<const uint8_t*>(data)[i]);
    case DType::kF8E5M2:
      return f8e5m2_to_f32(reinterpret_cast<const uint8_t*>(data)[i]);
    case DType::kF8E8M0:
      return f8e8m0_to_f32(reinterpret_cast<const uint8_t*>(data)[i]);
    case DType::kI32:
      return static_cast<float>(reinterpret_cast<const int32_t*>(data)[i]);
    case DType::kI64:
      return static_cast<float>(reinterpret_cast<const int64_t*>(data)[i]);
    case DType::kI8:
      return static_cast<float>(reinterpret_cast<const int8_t*>(data)[i]);
    case DType::kU8:
    case DType::kBool:
      return static_cast<float>(reinterpret_cast<const uint8_t*>(data)[i]);
    case DType::kNone:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI4:
    case DType::kU4:
    case DType::kI5:
    case DType::kU5:
    case DType::kI6:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
      break;
  }
  assert(false && "packed codes have no value of their own");
  return 0;
}

}  // namespace

Tensor to_f32(const Tensor& tensor) {
  Tensor out(DType::kF32, tensor.shape());
  const int64_t cols = tensor.cols();
  for (int64_t row = 0; row < tensor.rows(); ++row) {
    const std::byte* source = tensor.raw() + storage_bytes(tensor.dtype(), row * tensor.row_stride());
    for (int64_t col = 0; col < cols; ++col) out.f32()[row * cols + col] = load_value(tensor.dtype(), source, col);
  }
  return out;
}

Tensor cast(const Tensor& tensor, DType dtype) {
  const Tensor wide = to_f32(tensor);
  if (dtype == DType::kF32) return wide;
  assert(dtype == DType::kBF16 || dtype == DType::kF16);
  Tensor out(dtype, tensor.shape());
  for (int64_t i = 0; i < wide.shape().count(); ++i) {
    out.data<uint16_t>()[i] = dtype == DType::kBF16 ? f32_to_bf16(wide.f32()[i]) : f32_to_f16(wide.f32()[i]);
  }
  return out;
}

}  // namespace omni
