#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/stored_parts.h"

namespace omni {

// How one tool spells one matrix as tensors NAME.part: a value that an encoding makes from its config. Parts are the
// last segments of tensor names; a list of them means the first that is there; empty: the tool has no such tensor.
struct LinearSpelling {
  enum class Packing : uint8_t {
    kBytes,    // a code a byte: f8e4m3, f8e5m2, i8
    kNibbles,  // u8, two 4-bit codes a byte, low first
    kWords,    // i32, `bits` bits a code from the lowest bit on, offset by 2^(bits-1)
  };
  Packing packing = Packing::kBytes;
  DType codes = DType::kNone;  // kWords: decided by bits
  int bits = 8;
  std::string codes_part = "weight";
  std::optional<Group> group;  // nullopt: one scale, or one a row, as the shape of the scales says
  bool ragged = false;         // the last groups may be cut
  std::vector<std::string> scale_parts = {"weight_scale"};
  bool unit_scale = false;       // without scales the codes are the values
  bool exponent_scales = false;  // u8 scales are E8M0
  ScaleSign sign = ScaleSign::kPositive;
  std::string outer_part;      // a second scale of the whole tensor, f32
  bool outer_divides = false;  // scale = stored scale / outer, as one f32 scale a group
  bool zero_points = false;    // NAME.weight_zero_point
  bool ordered = false;        // NAME.weight_g_idx
  std::string smooth_part;     // factors of the input, when they are there
  ActQuant act = ActQuant::kNone;
  DType act_codes = DType::kNone;
  std::vector<std::string> input_scale_parts;  // needed for kStatic, else only claimed
  std::vector<std::string> other_parts;        // say nothing about the matrix
  std::string declared;  // who says that the weight is quantized, for messages: "config_groups.group_0"
};

// The matrix NAME from headers. Throws Error for a part that is missing or of a wrong dtype or shape.
StoredWeight describe_linear(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling);
// The same with its values, checked; of a described name.
Weight read_linear(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling);

// Names of modules that may hold a matrix: those with a two-dimensional NAME.weight or a NAME.weight_packed, sorted.
std::vector<std::string> matrix_modules(const Checkpoint& checkpoint);

}  // namespace omni
