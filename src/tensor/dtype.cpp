#include "tensor/dtype.h"

#include <array>
#include <cassert>

namespace omni {
namespace {

constexpr std::array kTable = {
    DTypeInfo{DType::kNone, "none", 0, 0, false},    DTypeInfo{DType::kF32, "f32", 32, 32, true},
    DTypeInfo{DType::kF16, "f16", 16, 16, true},     DTypeInfo{DType::kBF16, "bf16", 16, 16, true},
    DTypeInfo{DType::kF8E4M3, "f8e4m3", 8, 8, true}, DTypeInfo{DType::kF8E5M2, "f8e5m2", 8, 8, true},
    DTypeInfo{DType::kF8E8M0, "f8e8m0", 8, 8, true}, DTypeInfo{DType::kF4E2M1, "f4e2m1", 4, 4, true},
    DTypeInfo{DType::kNF4, "nf4", 4, 4, true},       DTypeInfo{DType::kI32, "i32", 32, 32, false},
    DTypeInfo{DType::kI64, "i64", 64, 64, false},    DTypeInfo{DType::kI8, "i8", 8, 8, false},
    DTypeInfo{DType::kU8, "u8", 8, 8, false},        DTypeInfo{DType::kI4, "i4", 4, 4, false},
    DTypeInfo{DType::kU4, "u4", 4, 4, false},        DTypeInfo{DType::kI5, "i5", 5, 8, false},
    DTypeInfo{DType::kU5, "u5", 5, 8, false},        DTypeInfo{DType::kI6, "i6", 6, 8, false},
    DTypeInfo{DType::kBool, "bool", 8, 8, false},    DTypeInfo{DType::kI2, "i2", 2, 4, false},
    DTypeInfo{DType::kU2, "u2", 2, 4, false},        DTypeInfo{DType::kI3, "i3", 3, 4, false},
    DTypeInfo{DType::kU3, "u3", 3, 4, false},        DTypeInfo{DType::kIQ4, "iq4", 4, 4, true},
    DTypeInfo{DType::kFP4BNB, "fp4bnb", 4, 4, true},
};

}  // namespace

const DTypeInfo& dtype_info(DType dtype) {
  const DTypeInfo& info = kTable[static_cast<size_t>(dtype)];
  assert(info.dtype == dtype);
  return info;
}

std::optional<DType> find_dtype(std::string_view name) {
  for (const DTypeInfo& info : kTable) {
    if (info.name == name && info.dtype != DType::kNone) return info.dtype;
  }
  return std::nullopt;
}

int64_t storage_bytes(DType dtype, int64_t count) {
  return (count * dtype_info(dtype).storage_bits + 7) / 8;
}

IntRange int_range(DType dtype) {
  const int bits = dtype_info(dtype).bits;
  switch (dtype) {
    case DType::kI8:
    case DType::kI4:
    case DType::kI5:
    case DType::kI6:
    case DType::kI2:
    case DType::kI3:
      return {-(1 << (bits - 1)), (1 << (bits - 1)) - 1};
    case DType::kU8:
    case DType::kU4:
    case DType::kU5:
    case DType::kU2:
    case DType::kU3:
      return {0, (1 << bits) - 1};
    case DType::kNone:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kF8E8M0:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
    case DType::kIQ4:
    case DType::kFP4BNB:
      break;
  }
  assert(false && "not a code dtype");
  return {0, 0};
}

}  // namespace omni
