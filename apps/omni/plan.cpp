#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands.h"
#include "common_flags.h"
#include "engine/loader.h"
#include "kernels/cpu/isa.h"
#include "plan_table.h"
#include "quant/config.h"

namespace omni::cli {
namespace {

// The document of docs/plan-json.md.
nlohmann::json plan_json(const std::string& model, const LoadedModel& loaded) {
  nlohmann::json weights = nlohmann::json::array();
  for (const LedgerRow& r : loaded.ledger.rows) {
    weights.push_back({{"path", r.path},
                       {"shape", {r.rows, r.cols}},
                       {"role", role_name(r.role)},
                       {"stored", r.stored},
                       {"target", r.target},
                       {"rule", r.rule},
                       {"kernel", r.kernel},
                       {"refusals", r.refusals},
                       {"bytes_stored", r.bytes_stored},
                       {"bytes_packed", r.bytes_packed}});
  }
  return {{"model", model},
          {"weights", weights},
          {"components", quantization_json("", loaded.ledger)["components"]},
          {"peak_load_bytes", loaded.ledger.packed_bytes() + loaded.ledger.largest_load},
          {"unmatched_rules", loaded.unmatched},
          {"unread_tensors", loaded.pipeline->unread()}};
}

// A request that says nothing sound is wrong usage; one that this model cannot meet is a plan that cannot be carried
// out.
LoadedModel draw_up(const ModelOptions& options, Exec& exec) {
  (void)cpu::features();
  for (const std::string& wish : {options.quantization, options.diffusion_quantization}) {
    if (!wish.empty()) (void)parse_quant_config(wish);
  }
  try {
    return load_model(options, exec, Load::kPlan);
  } catch (const Error& e) {
    throw Error(e.where(), e.found(), e.expected());
  }
}

int run(const CommonFlags& flags) {
  const ModelOptions options = flags.options();
  ThreadPool pool(1);
  Exec exec;
  exec.pool = &pool;
  exec.compute = options.compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16;
  const LoadedModel loaded = draw_up(options, exec);
  if (flags.json) {
    fmt::print("{}\n", plan_json(flags.model, loaded).dump(2));
  } else {
    fmt::print("{}", plan_text(loaded.ledger, {loaded.notes, loaded.unmatched, loaded.pipeline->unread()}));
  }
  if (loaded.refusal) throw Error(loaded.refusal->where(), loaded.refusal->found(), loaded.refusal->expected());
  return 0;
}

}  // namespace

Command add_plan(CLI::App& app) {
  auto flags = std::make_shared<CommonFlags>();
  CLI::App* sub = app.add_subcommand("plan", "what would happen to every weight, without loading any");
  flags->add_to(*sub);
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
