#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "quant/config.h"

namespace omni {

// Lower case, '-' as '_'; aliases of the field folded (auto-round -> inc).
std::string fold_method(std::string_view name);

// The rule that a method, preset or scheme text stands for, with an empty path. Throws a usage Error naming where for
// what is unknown, not implemented, or no choice of its own ("w8a8").
QuantRule method_rule(std::string_view text, const std::string& where);

// Throws a usage Error listing the known names when nothing of that name exists in the field.
void require_known_method(std::string_view name, const std::string& where);

// What to ask for instead of a method that only reads what it stored itself, for weights that are float.
std::string stored_instead(std::string_view method);

// Every name that method_rule accepts or answers by name, sorted.
std::vector<std::string> known_method_names();

}  // namespace omni
