#pragma once
#include "checkpoint/encoding.h"

namespace omni {

// NAME.weight as one f32, f16 or bf16 matrix.
const Encoding& plain_encoding();

// For encodings that leave some layers as floats: the same answers for one name.
std::optional<StoredWeight> describe_plain(const Checkpoint& checkpoint, std::string_view name);
Weight read_plain(const Checkpoint& checkpoint, std::string_view name);       // of a described name
bool is_plain_weight(const Checkpoint& checkpoint, std::string_view tensor);  // a float matrix *.weight

}  // namespace omni
