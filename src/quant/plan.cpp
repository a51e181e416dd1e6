#include "quant/plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "quant/fused_names.h"
#include "quant/method.h"
#include "quant/pattern.h"
#include "quant/stored_method.h"

namespace omni {
namespace {

using Kind = QuantRule::Kind;
const std::string kWhere = "quantization";
constexpr std::string_view kDefaultPath = "**";  // a component map's "default"

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string_view first_segment(std::string_view path) {
  return path.substr(0, path.find('.'));
}
std::string_view last_segment(std::string_view path) {
  return path.substr(path.rfind('.') + 1);
}
bool is_wild(std::string_view pattern) {
  return pattern.find('*') != std::string_view::npos || pattern.starts_with("re:");
}
// path is root or lies below it.
bool is_below(std::string_view path, std::string_view root) {
  return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '.');
}
int depth_of(std::string_view path) {
  return static_cast<int>(std::ranges::count(path, '.')) + 1;
}

bool same_meaning(const QuantRule& a, const QuantRule& b) {
  return a.kind == b.kind && a.scheme == b.scheme && (a.kind != Kind::kStored || a.method == b.method);
}

// The rule that speaks for a weight, how it matched, and its place in the config.
struct Deciding {
  size_t index = 0;
  PatternMatch match;
};

std::optional<PatternMatch> match_rule(const QuantRule& rule, std::string_view path,
                                       std::span<const std::string> aliases, const PipelineScope& scope) {
  if (rule.path.empty()) {
    const bool reached =
        std::ranges::any_of(scope.by_default, [&](const std::string& root) { return is_below(path, root); });
    if (!reached && rule.kind != Kind::kFloat && rule.kind != Kind::kKeep) return std::nullopt;
    return PatternMatch{0, 0, 0};
  }
  std::optional<PatternMatch> best = match_pattern(rule.path, path, scope.components);
  if (rule.kind != Kind::kIgnore) return best;
  const auto consider = [&](std::string_view name) {
    std::optional<PatternMatch> match = match_pattern(rule.path, name, scope.components);
    if (!match) return;
    match->depth = depth_of(path) - (depth_of(name) - match->depth);  // measured from the leaf: names differ in length
    if (!best || *match > *best) best = match;
  };
  const std::string component(first_segment(path));
  if (path.size() > component.size()) consider(path.substr(component.size() + 1));
  for (const std::string& alias : aliases) {
    consider(alias);
    if (first_segment(alias) != component) consider(component + "." + alias);
  }
  return best;
}

// A rule names a weight when it ends in the plain name of the weight or of the module right around it.
bool names_weight(const QuantRule& rule, const PatternMatch& match, std::string_view path) {
  if (rule.path.empty() || rule.path.starts_with("re:")) return false;
  const std::string_view last = last_segment(rule.path);
  return match.depth >= 2 && match.depth >= depth_of(path) - 1 && last.find('*') == std::string_view::npos;
}

Decision decide_float(const QuantRule& rule) {
  if (rule.kind == Kind::kScheme) return {Action::kQuantize, rule.scheme, rule.source};
  // A float weight of a checkpoint that a method stored is one that the method left alone.
  return {Action::kKeep, {}, rule.source};
}

Decision decide_stored(const QuantRule& rule, const QuantConfig& config, std::string_view path, const Stored& stored) {
  const std::string is = "is stored as " + stored.scheme.text() + (stored.method.empty() ? "" : " by ") + stored.method;
  if (rule.kind == Kind::kFloat) {
    if (config.dequantize) return {Action::kDequantize, {}, rule.source};
    throw usage_error(std::string(path), is + ", but '" + rule.source + "' asks for float",
                      "no quantization flag, or dequantize: true");
  }
  const bool wants = rule.kind == Kind::kScheme || rule.kind == Kind::kStored;
  if (!wants) return {Action::kKeep, stored.scheme, rule.source};
  if (keeps_stored(rule, stored.scheme, stored.method)) {
    const bool says_so = rule.kind == Kind::kScheme && rule.scheme == stored.scheme;
    return {Action::kKeep, stored.scheme, rule.source + (says_so ? "" : " (as stored)")};
  }
  if (rule.kind == Kind::kStored) {
    throw usage_error(std::string(path), is + ", but '" + rule.source + "' reads what " + rule.method + " stored",
                      "no quantization flag (as stored), or a checkpoint by " + rule.method);
  }
  if (config.requantize) return {Action::kRequantize, rule.scheme, rule.source};
  throw usage_error(std::string(path), is + ", but '" + rule.source + "' asks for " + rule.scheme.text(),
                    "no quantization flag (as stored), or requantize: true");
}

std::optional<Deciding> deciding_rule(const QuantConfig& config, const PipelineScope& scope, std::string_view path,
                                      std::span<const std::string> aliases, std::vector<size_t>* reached) {
  std::optional<Deciding> best;
  std::optional<size_t> tie;
  for (size_t i = 0; i < config.rules.size(); ++i) {
    const std::optional<PatternMatch> match = match_rule(config.rules[i], path, aliases, scope);
    if (!match) continue;
    reached->push_back(i);
    if (!best || *match > best->match) {
      best = Deciding{i, *match};
      tie.reset();
    } else if (*match == best->match && !same_meaning(config.rules[i], config.rules[best->index])) {
      tie = i;
    }
  }
  if (tie) {
    throw usage_error(kWhere,
                      "'" + config.rules[best->index].source + "' and '" + config.rules[*tie].source +
                          "' both decide for " + std::string(path) + " and are equally specific",
                      "one that names more of the path");
  }
  return best;
}

}  // namespace

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kOrdinary:
      return "ordinary";
    case Role::kSensitive:
      return "sensitive";
    case Role::kNever:
      return "never";
  }
  return "";
}

PipelineScope pipeline_scope(PipelineKind kind, std::vector<std::string> components) {
  PipelineScope scope{std::move(components), {}, {}};
  switch (kind) {
    case PipelineKind::kDiffusion:
      for (const std::string& name : scope.components) {
        if (name == "transformer" || name == "unet" || name.starts_with("transformer_"))
          scope.by_default.push_back(name);
      }
      break;
    case PipelineKind::kOmni:
      scope.by_default = {"thinker.model"};
      scope.aliases = {{"thinker.language_model", "thinker.model"}};
      break;
    case PipelineKind::kText:
      scope.by_default = scope.components;
      break;
  }
  return scope;
}

QuantPlan::QuantPlan(QuantConfig config, PipelineScope scope) : config_(std::move(config)), scope_(std::move(scope)) {
  for (QuantRule& rule : config_.rules) {
    for (const auto& [alias, path] : scope_.aliases) {
      if (is_below(rule.path, alias)) rule.path = path + rule.path.substr(alias.size());
    }
    if (rule.kind == Kind::kIgnore || rule.path.empty() || rule.path.starts_with("re:")) continue;
    const std::string component(first_segment(rule.path));
    const bool names_one = rule.is_component || rule.path.find('.') != std::string::npos;
    if (!names_one || is_wild(component) || std::ranges::count(scope_.components, component) > 0) continue;
    const std::string near = closest_name(component, scope_.components);
    throw usage_error(
        kWhere + ": " + rule.source,
        "'" + component + "' is no component of this pipeline" + (near.empty() ? "" : ": did you mean " + near + "?"),
        "one of " + join(scope_.components));
  }
}

Decision QuantPlan::target(std::string_view path, const Stored& stored, Role role,
                           std::span<const std::string> aliases) {
  seen_.emplace(path);
  std::vector<size_t> reached;
  const std::optional<Deciding> best = deciding_rule(config_, scope_, path, aliases, &reached);
  for (const size_t i : reached) {  // a rule that a longer one overrides has matched; only a skipped wish has not
    const Kind kind = config_.rules[i].kind;
    if (kind != Kind::kScheme && kind != Kind::kStored) matched_.insert(i);
  }
  const bool by_method = stored.scheme.quantized() && !stored.method.empty();
  if (!best) return {Action::kKeep, stored.scheme, by_method ? "as stored by " + stored.method : ""};
  const QuantRule& rule = config_.rules[best->index];
  if (rule.kind == Kind::kScheme) {
    const bool named = names_weight(rule, best->match, path);
    if (role == Role::kNever && named) {
      throw usage_error(kWhere + ": " + rule.source, std::string(path) + " is never quantized",
                        "a rule that does not name it");
    }
    if (role == Role::kNever || (role == Role::kSensitive && !named)) return {Action::kKeep, stored.scheme, ""};
  }
  for (const size_t i : reached) {
    if (config_.rules[i].kind != Kind::kStored) matched_.insert(i);
  }
  const bool is_float = !stored.scheme.quantized();
  Decision decision = is_float ? decide_float(rule) : decide_stored(rule, config_, path, stored);
  const bool by_it = rule.kind == Kind::kStored && (!is_float || fold_method(stored.method) == rule.method);
  if (by_it) matched_.insert(best->index);
  return decision;
}

std::vector<Decision> QuantPlan::merged_target(std::span<const Part> parts, Role role) {
  std::vector<std::string> ignored, others;
  std::string ignoring;
  std::vector<std::vector<std::string>> names;
  for (const Part& part : parts) {
    names.push_back(part.aliases);
    if (parts.size() > 1) {
      for (std::string& name : fused_aliases(part.path)) names.back().push_back(std::move(name));
    }
    std::vector<size_t> reached;
    const std::optional<Deciding> best = deciding_rule(config_, scope_, part.path, names.back(), &reached);
    const bool is_ignored = best && config_.rules[best->index].kind == Kind::kIgnore;
    (is_ignored ? ignored : others).push_back(part.path);
    if (is_ignored) ignoring = config_.rules[best->index].source;
  }
  if (!ignored.empty() && !others.empty()) {
    throw usage_error(kWhere + ": " + ignoring,
                      "only a part of one fused layer is ignored: " + join(ignored) + ", but not " + join(others),
                      "all of its parts, or none");
  }
  std::vector<Decision> decisions;
  for (size_t i = 0; i < parts.size(); ++i) {
    decisions.push_back(target(parts[i].path, parts[i].stored, role, names[i]));
    const Decision &first = decisions[0], &decision = decisions[i];
    const bool same_wish =
        decision.action == first.action && (decision.action == Action::kKeep || decision.target == first.target);
    const bool both_float = !decision.target.quantized() && !first.target.quantized();
    if (same_wish || both_float) continue;
    throw usage_error(kWhere,
                      "the parts of one fused layer get different schemes: " + parts[0].path + " becomes " +
                          first.target.text() + ", " + parts[i].path + " becomes " + decision.target.text(),
                      "one scheme for all of its parts");
  }
  return decisions;
}

std::vector<std::string> QuantPlan::unmatched() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < config_.rules.size(); ++i) {
    const QuantRule& rule = config_.rules[i];
    // The default of a map may have nothing left to do; a component left as it is needs no quantizable weight.
    const bool wants = rule.kind == Kind::kScheme || rule.kind == Kind::kStored;
    const bool may_be_idle = rule.path == kDefaultPath || (rule.is_component && !wants);
    if (!matched_.contains(i) && !may_be_idle) out.push_back(rule.source);
  }
  return out;
}

void QuantPlan::require_stored() const {
  for (size_t i = 0; i < config_.rules.size(); ++i) {
    const QuantRule& rule = config_.rules[i];
    if (rule.kind != Kind::kStored || matched_.contains(i) || rule.path == kDefaultPath) continue;
    throw usage_error(kWhere, "'" + rule.source + "' reads weights that " + rule.method + " stored, and there are none",
                      stored_instead(rule.method));
  }
}

void QuantPlan::require_all_matched(bool allow_unmatched) const {
  require_stored();
  std::set<std::string> names(seen_.begin(), seen_.end());
  for (const std::string& path : seen_) {
    for (const std::string_view segment : path_segments(path)) names.emplace(segment);
  }
  const std::vector<std::string> known(names.begin(), names.end());
  std::string text, near;
  for (const std::string& source : unmatched()) {
    text += (text.empty() ? "'" : ", '") + source + "'";
    const size_t colon = source.rfind(": ");
    const bool ignored = source.starts_with("ignored_layers: ");
    const std::string pattern = colon == std::string::npos ? source
                                : ignored                  ? source.substr(colon + 2)
                                                           : source.substr(0, colon);
    const std::string name = closest_name(pattern, known);
    if (!name.empty()) near += (near.empty() ? "" : ", ") + name;
  }
  if (text.empty()) return;
  const std::string what =
      text + " matched no weight that it may change" + (near.empty() ? "" : ": did you mean " + near + "?");
  if (allow_unmatched) {
    log_warning(kWhere + ": " + what);
    return;
  }
  throw usage_error(kWhere, what, "paths such as " + (seen_.empty() ? "those of the plan" : *seen_.begin()));
}

}  // namespace omni
