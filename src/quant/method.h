#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "quant/config.h"

namespace omni {

// Lower case, '-' as '_'; aliases of the field folded (auto-round -> inc).
std::string fold_method(std::string_view name);

// The rule that a method, preset or scheme text stands for, with an empty path. Throws a usage Error naming where
// for what is unknown, not implemented, or no choice of its own ("w8a8").
QuantRule method_rule(std::string_view text, const std::string& where);

// Every name that method_rule accepts or answers by name, sorted.
std::vector<std::string> known_method_names();

}  // namespace omni
