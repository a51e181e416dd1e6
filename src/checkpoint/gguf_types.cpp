#include "checkpoint/gguf_types.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>

namespace omni {
namespace {

constexpr Group columns(int count) {
  return Group{1, count};
}
constexpr QuantScheme one_level(DType codes, DType scale, int group, Zero zero = Zero::kNone) {
  return QuantScheme{.codes = codes, .scale = {scale, columns(group)}, .zero = zero};
}
// K-quants: small integer scales in super-blocks of 256.
constexpr QuantScheme two_levels(DType codes, DType scale, int group, Zero zero, DType outer = DType::kF16) {
  return QuantScheme{
      .codes = codes, .scale = {scale, columns(group)}, .outer_scale = {outer, columns(256)}, .zero = zero};
}
// Codebook types: grid value times sign as i8, odd scales; d/8 and the like need the range of f32.
constexpr QuantScheme grid(int group) {
  return two_levels(DType::kI8, DType::kU8, group, Zero::kNone, DType::kF32);
}

constexpr QuantScheme kTernary = one_level(DType::kI2, DType::kF16, 256);
constexpr QuantScheme kNvFp4 = one_level(DType::kF4E2M1, DType::kF8E4M3, 16);
constexpr QuantScheme kNvFp4TwoLevel{
    .codes = DType::kF4E2M1, .scale = {DType::kF8E4M3, columns(16)}, .outer_scale = {DType::kF32, Group{0, 0}}};

constexpr std::array kTypes = {
    GgmlTypeInfo{GgmlType::kF32, "F32", 1, 4, DType::kF32},
    GgmlTypeInfo{GgmlType::kF16, "F16", 1, 2, DType::kF16},
    GgmlTypeInfo{GgmlType::kQ4_0, "Q4_0", 32, 18, DType::kNone, one_level(DType::kI4, DType::kF16, 32)},
    GgmlTypeInfo{GgmlType::kQ4_1, "Q4_1", 32, 20, DType::kNone, one_level(DType::kU4, DType::kF16, 32, Zero::kMinimum)},
    GgmlTypeInfo{GgmlType::kQ5_0, "Q5_0", 32, 22, DType::kNone, one_level(DType::kI5, DType::kF16, 32)},
    GgmlTypeInfo{GgmlType::kQ5_1, "Q5_1", 32, 24, DType::kNone, one_level(DType::kU5, DType::kF16, 32, Zero::kMinimum)},
    GgmlTypeInfo{GgmlType::kQ8_0, "Q8_0", 32, 34, DType::kNone, one_level(DType::kI8, DType::kF16, 32)},
    GgmlTypeInfo{GgmlType::kQ2_K, "Q2_K", 256, 84, DType::kNone,
                 two_levels(DType::kU2, DType::kU8, 16, Zero::kMinimum)},
    GgmlTypeInfo{GgmlType::kQ3_K, "Q3_K", 256, 110, DType::kNone, two_levels(DType::kI3, DType::kI8, 16, Zero::kNone)},
    GgmlTypeInfo{GgmlType::kQ4_K, "Q4_K", 256, 144, DType::kNone,
                 two_levels(DType::kU4, DType::kU8, 32, Zero::kMinimum)},
    GgmlTypeInfo{GgmlType::kQ5_K, "Q5_K", 256, 176, DType::kNone,
                 two_levels(DType::kU5, DType::kU8, 32, Zero::kMinimum)},
    GgmlTypeInfo{GgmlType::kQ6_K, "Q6_K", 256, 210, DType::kNone, two_levels(DType::kI6, DType::kI8, 16, Zero::kNone)},
    GgmlTypeInfo{GgmlType::kQ8_K, "Q8_K", 256, 292, DType::kNone, one_level(DType::kI8, DType::kF32, 256)},
    GgmlTypeInfo{GgmlType::kIQ2_XXS, "IQ2_XXS", 256, 66, DType::kNone, grid(32)},
    GgmlTypeInfo{GgmlType::kIQ2_XS, "IQ2_XS", 256, 74, DType::kNone, grid(16)},
    GgmlTypeInfo{GgmlType::kIQ3_XXS, "IQ3_XXS", 256, 98, DType::kNone, grid(32)},
    GgmlTypeInfo{GgmlType::kIQ1_S, "IQ1_S", 256, 50, DType::kNone, grid(32)},
    GgmlTypeInfo{GgmlType::kIQ4_NL, "IQ4_NL", 32, 18, DType::kNone, one_level(DType::kIQ4, DType::kF16, 32)},
    GgmlTypeInfo{GgmlType::kIQ3_S, "IQ3_S", 256, 110, DType::kNone, grid(32)},
    GgmlTypeInfo{GgmlType::kIQ2_S, "IQ2_S", 256, 82, DType::kNone, grid(16)},
    GgmlTypeInfo{GgmlType::kIQ4_XS, "IQ4_XS", 256, 136, DType::kNone,
                 two_levels(DType::kIQ4, DType::kI8, 32, Zero::kNone)},
    GgmlTypeInfo{GgmlType::kI8, "I8", 1, 1, DType::kI8},
    GgmlTypeInfo{GgmlType::kI16, "I16", 1, 2},
    GgmlTypeInfo{GgmlType::kI32, "I32", 1, 4, DType::kI32},
    GgmlTypeInfo{GgmlType::kI64, "I64", 1, 8, DType::kI64},
    GgmlTypeInfo{GgmlType::kF64, "F64", 1, 8},
    GgmlTypeInfo{GgmlType::kIQ1_M, "IQ1_M", 256, 56, DType::kNone, grid(16)},
    GgmlTypeInfo{GgmlType::kBF16, "BF16", 1, 2, DType::kBF16},
    GgmlTypeInfo{GgmlType::kTQ1_0, "TQ1_0", 256, 54, DType::kNone, kTernary},
    GgmlTypeInfo{GgmlType::kTQ2_0, "TQ2_0", 256, 66, DType::kNone, kTernary},
    GgmlTypeInfo{GgmlType::kMXFP4, "MXFP4", 32, 17, DType::kNone, one_level(DType::kF4E2M1, DType::kF8E8M0, 32)},
    GgmlTypeInfo{GgmlType::kNVFP4, "NVFP4", 64, 36, DType::kNone, kNvFp4},
    GgmlTypeInfo{GgmlType::kQ1_0, "Q1_0", 128, 18, DType::kNone, one_level(DType::kI2, DType::kF16, 128)},
};

// Numbers of types that ggml once had, or has for its own use only.
struct OtherType {
  int number;
  std::string_view text;
};
constexpr std::array kOtherTypes = {
    OtherType{4, "Q4_2, which ggml removed"},
    OtherType{5, "Q4_3, which ggml removed"},
    OtherType{9, "Q8_1, which ggml uses for activations only"},
    OtherType{31, "Q4_0_4_4, which ggml removed"},
    OtherType{32, "Q4_0_4_8, which ggml removed"},
    OtherType{33, "Q4_0_8_8, which ggml removed"},
    OtherType{36, "IQ4_NL_4_4, which ggml removed"},
    OtherType{37, "IQ4_NL_4_8, which ggml removed"},
    OtherType{38, "IQ4_NL_8_8, which ggml removed"},
};

bool equal_but_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::toupper(static_cast<unsigned char>(x)) == std::toupper(static_cast<unsigned char>(y));
  });
}

}  // namespace

std::span<const GgmlTypeInfo> ggml_types() {
  return kTypes;
}

const GgmlTypeInfo* find_ggml_type(int number) {
  const auto found = std::ranges::find(kTypes, static_cast<GgmlType>(number), &GgmlTypeInfo::type);
  return found == kTypes.end() ? nullptr : &*found;
}

const GgmlTypeInfo* find_ggml_type(std::string_view name) {
  const auto found =
      std::ranges::find_if(kTypes, [&](const GgmlTypeInfo& info) { return equal_but_case(info.name, name); });
  return found == kTypes.end() ? nullptr : &*found;
}

const GgmlTypeInfo& ggml_type_info(GgmlType type) {
  const GgmlTypeInfo* info = find_ggml_type(static_cast<int>(type));
  assert(info != nullptr);
  return *info;
}

std::string ggml_type_text(int number) {
  if (const GgmlTypeInfo* info = find_ggml_type(number)) return std::string(info->name);
  const auto other = std::ranges::find(kOtherTypes, number, &OtherType::number);
  if (other != kOtherTypes.end()) return "type " + std::to_string(number) + " (" + std::string(other->text) + ")";
  return "type " + std::to_string(number);
}

std::optional<GgmlType> ggml_type_of(const QuantScheme& scheme) {
  if (scheme == kTernary) return GgmlType::kTQ2_0;  // not the slower TQ1_0
  if (scheme == kNvFp4TwoLevel) return GgmlType::kNVFP4;
  if (!scheme.quantized() || scheme == grid(16) || scheme == grid(32)) return std::nullopt;
  const auto found = std::ranges::find(kTypes, scheme, &GgmlTypeInfo::scheme);
  return found == kTypes.end() ? std::nullopt : std::optional(found->type);
}

std::optional<GgmlType> ggml_type_of(const Weight& weight) {
  if (weight.scheme.quantized()) return ggml_type_of(weight.scheme);
  const auto found = std::ranges::find(kTypes, weight.float_dtype(), &GgmlTypeInfo::dtype);
  return found == kTypes.end() ? std::nullopt : std::optional(found->type);
}

Tensor gguf_scale(const Weight& weight) {
  return weight.scheme == kNvFp4TwoLevel ? weight.outer_scales.reshaped(Shape{1}) : Tensor();
}

}  // namespace omni
