#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quant/scheme.h"

namespace omni {

// One normalised wish: weights whose path matches take the scheme, or stay float, or as they are (keep, ignore), or as
// the checkpoint stores them, which must then be by the rule's method (stored).
struct QuantRule {
  enum class Kind : uint8_t { kScheme, kFloat, kKeep, kIgnore, kStored };
  std::string path;  // pattern; "" = the pipeline's default scope (a plain method name)
  Kind kind = Kind::kScheme;
  QuantScheme scheme;         // kScheme
  std::string method;         // kStored, kScheme: the folded name it was asked by; "" for a spelled scheme
  std::string source;         // as the user wrote it, for messages: "fp8", "ignored_layers: img_mlp"
  bool is_component = false;  // path begins with a component's name: a key of a component map
};

// What the user asked, normalised from every accepted spelling. An empty rule list means: as the checkpoint stores it.
struct QuantConfig {
  std::vector<QuantRule> rules;
  bool requantize = false;
  bool dequantize = false;
  std::string gguf_model;          // where {"method": "gguf"} takes the main component's weights from; "" = the model
  std::vector<std::string> notes;  // unknown metadata keys that were kept and should be reported
  bool asked() const { return !rules.empty(); }
  nlohmann::json normal_form() const;  // {"rules": [...], ...}; build_quant_config reads it back to an equal config
};

struct QuantConfigOptions {
  std::vector<std::string> components;      // names a component map may use; empty: any first-level key is one
  std::vector<std::string> ignored_layers;  // from --ignored-layers
  std::string metadata_component;           // whose metadata it is; "" = the default scope's
};

// The one entry point (spec/quantization.md section 1). spec: a method, a scheme text, "none", null for nothing asked,
// or an object. Throws a usage Error that names the key, its value and what would be accepted, with the closest name.
QuantConfig build_quant_config(const nlohmann::json& spec, const QuantConfigOptions& options = {});
// The same with a known fact: metadata is the checkpoint's own quantization_config, the name of a method, or null for a
// float checkpoint. A wish that it contradicts is a usage Error naming both; it never becomes a rule itself.
QuantConfig build_quant_config(const nlohmann::json& spec, const nlohmann::json& metadata,
                               const QuantConfigOptions& options);
// Text from the command line: JSON when it begins with '{', '[' or '"', else a plain name.
QuantConfig parse_quant_config(std::string_view text, const QuantConfigOptions& options = {});

// True when pattern (spec section 1, Patterns) matches the full path. components: names that stand for a whole
// component.
bool pattern_matches(std::string_view pattern, std::string_view path, const std::vector<std::string>& components);

// The known name nearest to text by edit distance, or "" when none is near.
std::string closest_name(std::string_view text, const std::vector<std::string>& known);

// kOnline: rounds float weights here. kStored: reads a checkpoint made by it. kAbsent: known in the field only.
enum class MethodUse : uint8_t { kOnline, kStored, kAbsent };
struct MethodName {
  std::string_view name;  // folded
  MethodUse use;
  std::string_view text;  // kOnline: the scheme it stands for; else what to use instead for float weights
};
std::span<const MethodName> method_names();  // sorted by name
// What a name of method_names() or an alias of one is; null when it is none.
const MethodName* find_method(std::string_view name);
// Other spellings of a folded name that users have: "inc" -> "auto-round".
std::vector<std::string_view> method_aliases(std::string_view name);

}  // namespace omni
