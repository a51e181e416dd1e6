#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace omni {

// A scalar. Never a block format: those are a QuantScheme of scalars. i5, u5, i6 and the like are K-quant codes; iq4
// and fp4bnb index the 16 values of GGUF's IQ4 types and of bitsandbytes' fp4.
enum class DType : uint8_t {
  kNone,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF4E2M1,
  kNF4,
  kI32,
  kI64,
  kI8,
  kU8,
  kI4,
  kU4,
  kI5,
  kU5,
  kI6,
  kBool,
  kI2,
  kU2,
  kI3,
  kU3,
  kIQ4,
  kFP4BNB,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;  // the public spelling: "bf16", "f8e4m3"
  int bits;               // bits of one value
  int storage_bits;       // bits one value takes in a canonical tensor: 2- to 4-bit values two a byte, low nibble first
                          // (signed ones sign-extended to the nibble); 5 and 6 a byte
  bool is_float;
};

const DTypeInfo& dtype_info(DType dtype);
inline std::string_view dtype_name(DType dtype) {
  return dtype_info(dtype).name;
}
std::optional<DType> find_dtype(std::string_view name);

// Bytes that count values of dtype take in a canonical tensor.
int64_t storage_bytes(DType dtype, int64_t count);

// The value range of an integer dtype ([-128, 127] for i8, [0, 15] for u4).
struct IntRange {
  int low, high;
};
IntRange int_range(DType dtype);

}  // namespace omni
