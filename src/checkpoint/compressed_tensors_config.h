#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/module_list.h"
#include "checkpoint/stored_linear.h"

namespace omni {

// The quantization_config of compressed-tensors, read once. Unknown keys stay without effect.
class CompressedTensorsConfig {
 public:
  // Throws Error naming the key for what cannot be: an unknown format, a group of no columns, sparse weights.
  explicit CompressedTensorsConfig(const JsonObject& config);

  // One entry of config_groups that quantizes weights.
  struct ConfigGroup {
    ModuleList names;                  // targets that are names or expressions
    std::vector<std::string> classes;  // targets that are module classes ("Linear")
    bool dense = false;                // its weights lie there as floats
    LinearSpelling spelling;
  };

  NameMatch ignored(std::string_view module) const { return ignore_.match(module); }
  // The group of a module: by name before by class. has_parts: its tensors are those of a quantized one, so that a
  // loose match of a name counts and any class will do. nullptr: none.
  const ConfigGroup* group_of(std::string_view module, bool has_parts) const;
  bool quantizes_kv_cache() const { return kv_cache_; }

 private:
  std::vector<ConfigGroup> groups_;
  ModuleList ignore_;
  bool kv_cache_ = false;
};

// The object that holds config_groups, whichever way an older tool nested it.
JsonObject compressed_tensors_object(const JsonObject& config);

}  // namespace omni
