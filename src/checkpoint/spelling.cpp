#include "checkpoint/spelling.h"

#include <algorithm>
#include <array>

#include "checkpoint/spelling_compressed_tensors.h"
#include "checkpoint/spelling_fp8.h"

namespace omni {

std::span<const Spelling* const> spellings() {
  static const std::array list = {
      &compressed_tensors_spelling(),
      &fp8_spelling(),
  };
  return list;
}

const Spelling* find_spelling(std::string_view name) {
  const auto it = std::ranges::find(spellings(), name, &Spelling::name);
  return it == spellings().end() ? nullptr : *it;
}

}  // namespace omni
