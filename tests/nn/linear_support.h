#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "nn/scope.h"
#include "support/support.h"

namespace omni::testing {

// One component over a checkpoint of a few tensors, with what constructing its layers needs.
class Component {
 public:
  Component(const std::filesystem::path& checkpoint, const std::string& config, DType compute,
            const std::string& wish = "") {
    exec.pool = &pool;
    exec.compute = compute;
    const QuantConfigOptions options{.components = {"transformer"}};
    plan.emplace(wish.empty() ? QuantConfig{} : parse_quant_config(wish, options),
                 PipelineScope{.components = {"transformer"}, .by_default = {"transformer"}});
    source.emplace("transformer", open_checkpoint(checkpoint), JsonObject::parse(config, "config.json"),
                   std::vector<NameMap>{});
    context.exec = &exec;
    context.plan = &*plan;
    context.ledger = &ledger;
  }
  Scope scope() { return Scope(context, *source); }

  ThreadPool pool{2};
  Exec exec;
  std::optional<QuantPlan> plan;
  std::optional<WeightSource> source;
  Ledger ledger;
  LoadContext context;
};

inline std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace omni::testing
