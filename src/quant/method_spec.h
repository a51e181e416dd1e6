#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "quant/config.h"

namespace omni {

// Reads {"method": ...}, {"quant_method": ...} or a ModelOpt block for one component ("" for the pipeline's default
// scope) into rules and notes of config. Throws a usage Error naming where, the key and its value.
void read_method_spec(const nlohmann::json& spec, const std::string& component, const std::string& where,
                      QuantConfig& config);

// A rule from a pattern that is to be left as it is.
QuantRule ignore_rule(const std::string& component, const std::string& pattern, const std::string& key);

// A short print of a JSON value for messages.
std::string json_text(const nlohmann::json& value);

// The keys a method's spec may have besides its own parameters.
const std::vector<std::string>& common_method_keys();

}  // namespace omni
