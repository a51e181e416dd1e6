#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/scheme.h"

namespace omni {

// One normalised wish: weights whose path matches take the scheme, or stay as stored (keep), or float.
struct QuantRule {
  enum class Kind : uint8_t { kScheme, kFloat, kKeep, kIgnore };
  std::string path;  // pattern; "" = the pipeline's default scope (a plain method name)
  Kind kind = Kind::kScheme;
  QuantScheme scheme;         // kScheme
  std::string source;         // as the user wrote it, for messages: "fp8", "ignored_layers: img_mlp"
  bool is_component = false;  // path begins with a component's name: a key of a component map
};

// What the user asked, normalised from every accepted spelling. An empty rule list means: as the checkpoint stores it.
struct QuantConfig {
  std::vector<QuantRule> rules;
  bool requantize = false;
  bool dequantize = false;
  std::vector<std::string> notes;  // unknown metadata keys that were kept and should be reported
  bool asked() const { return !rules.empty(); }
  nlohmann::json normal_form() const;  // {"rules": [...], ...}; build_quant_config reads it back to an equal config
};

struct QuantConfigOptions {
  std::vector<std::string> components;      // names a component map may use; empty: any first-level key is one
  std::vector<std::string> ignored_layers;  // from --ignored-layers
};

// The one entry point (spec/quantization.md section 1). spec: text of --quantization or --quantization-config: a
// method, a scheme text, "none", or JSON; nullopt: nothing asked. metadata: the checkpoint's own quantization_config or
// null. Throws a usage Error that names the key, its value and what would be accepted, with the closest known name.
QuantConfig build_quant_config(const nlohmann::json& spec, const QuantConfigOptions& options = {});
// Text from the command line: JSON when it begins with '{', '[' or '"', else a plain name.
QuantConfig parse_quant_config(std::string_view text, const QuantConfigOptions& options = {});

// True when pattern (spec section 1, Patterns) matches the full path. components: names that stand for a whole
// component.
bool pattern_matches(std::string_view pattern, std::string_view path, const std::vector<std::string>& components);

// The known name nearest to text by edit distance, or "" when none is near.
std::string closest_name(std::string_view text, const std::vector<std::string>& known);

// Every method name accepted, and names known in the field but not implemented here with what to use instead.
struct MethodName {
  std::string_view name;
  std::string_view instead;  // "" when implemented
};
std::span<const MethodName> method_names();

}  // namespace omni
