#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "quant/config.h"

namespace omni {

// What a checkpoint's metadata says of its storage: the folded method, and the family of numbers when it tells ("fp8",
// "nvfp4", "mxfp4", "mxfp8", "int8"; "" else).
struct StoredMethod {
  std::string method, family;
};

// Reads a quantization_config, the name of a method alone, or null. nullopt: nothing is stored quantized. Throws Error
// naming where for a list, a method that nobody knows and a ModelOpt algorithm that nobody knows.
std::optional<StoredMethod> read_stored_method(const nlohmann::json& metadata, const std::string& where);

// True for ModelOpt's spelling without a method key: quant_algo, or producer.name "modelopt" with a quantization block.
bool is_modelopt_metadata(const nlohmann::json& spec);

// Whether a rule is met by weights as they are: equal scheme, the method that stored them, or a compatible family
// (fp8 asks for any E4M3 with scales, nvfp4 for any two-level E2M1).
bool keeps_stored(const QuantRule& rule, const QuantScheme& scheme, std::string_view method);

// Throws a usage Error when a rule, as written in spec, contradicts the metadata of the component it reaches.
void check_against_metadata(const QuantConfig& config, const nlohmann::json& spec, const nlohmann::json& metadata,
                            const QuantConfigOptions& options);

}  // namespace omni
