#include <algorithm>
#include <array>
#include <cctype>

#include "quant/scheme.h"

namespace omni {
namespace {

constexpr Group kChannel{1, 0};
constexpr Group kTensor{0, 0};
constexpr Group columns(int count) {
  return Group{1, count};
}

constexpr QuantScheme kInt8WeightOnly{.codes = DType::kI8, .scale = {DType::kF32, kChannel}};
constexpr QuantScheme kInt8{
    .codes = DType::kI8, .scale = {DType::kF32, kChannel}, .act = ActQuant::kPerToken, .act_codes = DType::kI8};
constexpr QuantScheme kFp8{
    .codes = DType::kF8E4M3, .scale = {DType::kF32, kChannel}, .act = ActQuant::kPerToken, .act_codes = DType::kF8E4M3};
constexpr QuantScheme kFp8PerTensor{
    .codes = DType::kF8E4M3, .scale = {DType::kF32, kTensor}, .act = ActQuant::kPerTensor, .act_codes = DType::kF8E4M3};
constexpr QuantScheme kInt4{.codes = DType::kI4, .scale = {DType::kF16, columns(128)}};
constexpr QuantScheme kInt4Asymmetric{.codes = DType::kU4, .scale = {DType::kF16, columns(32)}, .zero = Zero::kPoint};
constexpr QuantScheme kMxFp4{.codes = DType::kF4E2M1, .scale = {DType::kF8E8M0, columns(32)}};
constexpr QuantScheme kMxFp8{.codes = DType::kF8E4M3, .scale = {DType::kF8E8M0, columns(32)}};
constexpr QuantScheme kNf4{.codes = DType::kNF4, .scale = {DType::kF32, columns(64)}};
constexpr QuantScheme kNvFp4{
    .codes = DType::kF4E2M1, .scale = {DType::kF8E4M3, columns(16)}, .outer_scale = {DType::kF32, kTensor}};

constexpr QuantScheme legacy(DType codes, Zero zero) {
  return QuantScheme{.codes = codes, .scale = {DType::kF16, columns(32)}, .zero = zero};
}
constexpr QuantScheme super_block(DType codes, ScaleSpec scale, Zero zero) {
  return QuantScheme{.codes = codes, .scale = scale, .outer_scale = {DType::kF16, columns(256)}, .zero = zero};
}

constexpr std::array kPresets = {
    Preset{"fp8", kFp8, "8-bit float (E4M3), a scale a channel, inputs per token"},
    Preset{"fp8_per_channel", kFp8, "the same as fp8"},
    Preset{"fp8_per_tensor", kFp8PerTensor, "8-bit float (E4M3), one scale a weight, inputs per tensor"},
    Preset{"int4", kInt4, "4-bit integers, groups of 128, weights only"},
    Preset{"int4_g32_asym", kInt4Asymmetric, "4-bit integers with zero points, groups of 32, weights only"},
    Preset{"int8", kInt8, "8-bit integers, a scale a channel, inputs per token"},
    Preset{"int8_weight_only", kInt8WeightOnly, "8-bit integers, a scale a channel, weights only"},
    Preset{"mxfp4", kMxFp4, "4-bit float (E2M1), power-of-two scales over 32, weights only"},
    Preset{"mxfp8", kMxFp8, "8-bit float (E4M3), power-of-two scales over 32, weights only"},
    Preset{"nf4", kNf4, "NormalFloat4, groups of 64, weights only"},
    Preset{"nvfp4", kNvFp4, "4-bit float (E2M1), E4M3 scales over 16 and one a weight, weights only"},
    Preset{"q4_0", legacy(DType::kI4, Zero::kNone), "GGUF Q4_0: 4-bit integers, groups of 32"},
    Preset{"q4_1", legacy(DType::kU4, Zero::kMinimum), "GGUF Q4_1: 4-bit integers with minima, groups of 32"},
    Preset{"q4_k", super_block(DType::kU4, {DType::kU8, columns(32)}, Zero::kMinimum),
           "GGUF Q4_K: 4-bit integers with minima, two levels of scales"},
    Preset{"q5_0", legacy(DType::kI5, Zero::kNone), "GGUF Q5_0: 5-bit integers, groups of 32"},
    Preset{"q5_1", legacy(DType::kU5, Zero::kMinimum), "GGUF Q5_1: 5-bit integers with minima, groups of 32"},
    Preset{"q5_k", super_block(DType::kU5, {DType::kU8, columns(32)}, Zero::kMinimum),
           "GGUF Q5_K: 5-bit integers with minima, two levels of scales"},
    Preset{"q6_k", super_block(DType::kI6, {DType::kI8, columns(16)}, Zero::kNone),
           "GGUF Q6_K: 6-bit integers, two levels of scales"},
    Preset{"q8_0", legacy(DType::kI8, Zero::kNone), "GGUF Q8_0: 8-bit integers, groups of 32"},
    Preset{"w4a16", kInt4, "the same as int4"},
    Preset{"w8a16", kInt8WeightOnly, "the same as int8_weight_only"},
};

// Lower case, and '-' as '_'.
std::string fold(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

std::span<const Preset> presets() {
  return kPresets;
}

const Preset* find_preset(std::string_view name) {
  std::string folded = fold(name);
  constexpr std::string_view kGguf = "gguf:";
  if (folded.starts_with(kGguf)) {
    folded.erase(0, kGguf.size());
    if (!folded.starts_with("q")) return nullptr;
  }
  const auto found = std::ranges::find(kPresets, folded, &Preset::name);
  return found == kPresets.end() ? nullptr : &*found;
}

}  // namespace omni
