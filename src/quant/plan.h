#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quant/config.h"
#include "quant/scheme.h"

namespace omni {

// How much a weight's rounding hurts. A general rule skips kSensitive (a rule that names it does not); kNever is an
// error when named.
enum class Role : uint8_t { kOrdinary, kSensitive, kNever };
std::string_view role_name(Role role);

// What a pipeline is, for the reach of a plain method name: a diffusion pipeline's transformers (every expert of a
// cascade), an omni model's thinker language model, a text model whole.
enum class PipelineKind : uint8_t { kDiffusion, kOmni, kText };

// The components of a model, and what a plain method name reaches. Encoders, codecs and the VAE are reached by name
// only.
struct PipelineScope {
  std::vector<std::string> components;  // every component of the model, "transformer", "vae" ...
  std::vector<std::string> by_default;  // components or paths below one ("thinker.model") that a plain name quantizes
  std::vector<std::pair<std::string, std::string>> aliases = {};  // another name users have for a path, and the path
};
PipelineScope pipeline_scope(PipelineKind kind, std::vector<std::string> components);

enum class Action : uint8_t { kKeep, kQuantize, kDequantize, kRequantize };

struct Decision {
  Action action = Action::kKeep;
  QuantScheme target;  // what the weight shall be; not quantized: float
  std::string rule;    // the rule that decided, as the user would recognise it; "" when none reached it
};

// What a weight is in the checkpoint: its scheme, and the method that stored it ("awq"; "" for floats).
struct Stored {
  QuantScheme scheme;
  std::string method;
  Stored(QuantScheme stored_scheme = {}, std::string stored_method = {})
      : scheme(stored_scheme), method(std::move(stored_method)) {}
};

// QuantConfig applied to facts. The only place that decides what a weight becomes; asked once for every weight while a
// model is constructed (or planned), and afterwards for the rules that matched nothing. Used by one thread.
class QuantPlan {
 public:
  // Throws Error when the config names a component the scope does not have.
  QuantPlan(QuantConfig config, PipelineScope scope);

  // path: full path from the component on, without ".weight". aliases: other names of the same weight (checkpoint,
  // runtime) that ignored_layers may use. Throws Error on a conflict of spec/quantization.md section 3.
  Decision target(std::string_view path, const Stored& stored, Role role, std::span<const std::string> aliases = {});

  // Fused-shard rule: parts (full paths; aliases: their other names) are decided together: one wish for all of them;
  // part of them ignored is an Error naming the missing. As stored, each keeps its own scheme. One decision a part.
  struct Part {
    std::string path;
    Stored stored;
    std::vector<std::string> aliases;
  };
  std::vector<Decision> merged_target(std::span<const Part> parts, Role role);

  // Rules and ignored names that matched no weight so far, and methods that no weight is stored by, as written.
  std::vector<std::string> unmatched() const;
  // Throws Error naming the unmatched rules, with the closest existing paths; a warning with allow_unmatched. A method
  // that only reads what it stored, where it stored nothing, is always an Error.
  void require_all_matched(bool allow_unmatched) const;

  const QuantConfig& config() const { return config_; }

 private:
  QuantConfig config_;
  PipelineScope scope_;
  void require_stored() const;
  std::set<size_t> matched_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace omni
