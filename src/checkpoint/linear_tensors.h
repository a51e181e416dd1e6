#pragma once
#include "checkpoint/stored_linear.h"
#include "checkpoint/unpack_words.h"

namespace omni {

// What describing a matrix finds: the stored weight, and which tensors hold its parts ("" where there is none).
struct LinearTensors {
  StoredWeight stored;
  std::string codes, scales, outer, zeros, order, smooth, input_scale;
  int64_t scale_rows = 0, scale_cols = 0;
  WordLayout layout = WordLayout::kDense;  // of codes and zero points in words
};
LinearTensors find_linear_tensors(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling);

}  // namespace omni
