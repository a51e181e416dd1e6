#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// How a module's name fits a tool's list. kLoose: only when a prefix, the segments "model" and "language_model", or
// what lies around the entry is forgiven, as names in configs and checkpoints differ in the field; the tensors of the
// module then have the last word.
enum class NameMatch : uint8_t { kNone, kLoose, kExact };

// A list of modules as tools write it: what to leave in float, what to quantize. Entries are names or, after "re:",
// regular expressions that match from a name's first character on. Immutable.
class ModuleList {
 public:
  enum class Kind : uint8_t {
    kNames,      // an entry is one whole name (compressed-tensors)
    kPrefixes,   // an entry also covers all below it, and whole last segments (transformers)
    kWildcards,  // as kPrefixes, and `*` and `?` stand for any text, dots included (ModelOpt)
  };
  ModuleList() = default;
  // Throws Error naming where for a bad expression.
  ModuleList(const std::vector<std::string>& entries, Kind kind, const std::string& where);

  NameMatch match(std::string_view module) const;

 private:
  struct Pattern;
  std::set<std::string, std::less<>> names_;
  std::vector<std::string> loose_;  // names without the segments that are forgiven
  std::vector<std::shared_ptr<const Pattern>> patterns_;
  Kind kind_ = Kind::kNames;
};

// True unless the last part of a name is of those that tools give to matrices which no Linear multiplies by: embedding
// tables and MoE routers ("model.embed_tokens", "layers.0.mlp.gate"). Lists of layers to skip often leave them out.
bool names_linear(std::string_view module);

}  // namespace omni
