#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tensor/activation.h"
#include "tensor/dtype.h"

namespace omni {

// Elements that share a scale, in the [rows = N outputs, cols = K inputs] weight; 0 means the whole axis.
struct Group {
  int rows = 1, cols = 0;
  bool operator==(const Group&) const = default;
};
struct ScaleSpec {
  DType dtype = DType::kNone;  // kNone: there is no such scale
  Group group;
  bool operator==(const ScaleSpec&) const = default;
};
// kPoint: value = (code - zero) * scale. kMinimum: value = code * scale - minimum (see Weight::zeros).
enum class Zero : uint8_t { kNone, kPoint, kMinimum };

// What stored numbers mean; says nothing of where the bytes lie. A pure value with a text form both ways.
//   value = (code [- zero point]) * scale * outer_scale [- minimum * outer_minimum]
//   W     = values * rotation * diag(smooth) + low_rank_up * low_rank_down
struct QuantScheme {
  DType codes = DType::kNone;  // kNone: not quantized
  ScaleSpec scale = {}, outer_scale = {};
  Zero zero = Zero::kNone;
  ActQuant act = ActQuant::kNone;
  DType act_codes = DType::kNone;
  int low_rank = 0;      // rank of a bf16 correction
  int rotation = 0;      // Hadamard block along K: the codes stand for a rotated matrix
  bool smooth = false;   // the quantized part's input is multiplied by a factor a column (Weight::smooth)
  bool ordered = false;  // columns take their scale by Weight::order instead of by position (desc_act)

  bool quantized() const { return codes != DType::kNone; }
  bool operator==(const QuantScheme&) const = default;
  // The text form: a preset's name where one is equal ("int8", "q4_k"), else codes/group/... ("i4/g128/f16/asym").
  std::string text() const;
};

// Reads a preset name or the spelled form (spec/quantization.md section 1): "fp8/channel/per-token", "int4/g128/asym".
// nullopt when it is neither.
std::optional<QuantScheme> parse_scheme(std::string_view text);

// A method or type name whose numerics exist here.
struct Preset {
  std::string_view name;
  QuantScheme scheme;
  std::string_view what;  // one line for `omni methods`
};
std::span<const Preset> presets();  // sorted by name
const Preset* find_preset(std::string_view name);

// Bits a weight takes in this scheme, scales included, for a [rows, cols] matrix.
double bits_per_weight(const QuantScheme& scheme, int64_t rows, int64_t cols);

}  // namespace omni
