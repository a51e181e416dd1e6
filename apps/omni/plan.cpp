#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>

#include "commands.h"
#include "common_flags.h"
#include "engine/loader.h"
#include "terminal.h"

namespace omni::cli {
namespace {

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

// One row for all weights that differ only in their block's number and share everything a reader looks at.
struct GroupedRow {
  std::string path;
  LedgerRow first;
  int64_t count = 0, bytes_stored = 0, bytes_packed = 0;
};

std::vector<GroupedRow> grouped(const std::vector<LedgerRow>& rows) {
  static const std::regex number("\\.[0-9]+\\.");
  std::vector<GroupedRow> groups;
  for (const LedgerRow& row : rows) {
    GroupedRow next{std::regex_replace(row.path, number, ".*."), row, 0, 0, 0};
    if (row.role == Role::kNever) next.path = row.component + ": norms, biases, tables, convolutions";
    const auto same = [&](const GroupedRow& g) {
      if (g.path != next.path) return false;
      if (row.role == Role::kNever) return true;
      return g.first.rows == row.rows && g.first.cols == row.cols && g.first.stored == row.stored &&
             g.first.target == row.target && g.first.kernel == row.kernel && g.first.rule == row.rule;
    };
    auto it = std::find_if(groups.begin(), groups.end(), same);
    if (it == groups.end()) it = groups.insert(groups.end(), std::move(next));
    it->count += 1;
    it->bytes_stored += row.bytes_stored;
    it->bytes_packed += row.bytes_packed;
  }
  return groups;
}

void print_plan(const LoadedModel& loaded) {
  TextTable table{
      .headers = {"weight", "n", "shape", "role", "stored", "target", "kernel", "rule", "stored size", "packed size"},
      .right = {false, true, false, false, false, false, false, false, true, true},
      .rows = {}};
  for (const GroupedRow& g : grouped(loaded.ledger.rows)) {
    const bool never = g.first.role == Role::kNever;
    table.rows.push_back({g.path, std::to_string(g.count),
                          never ? "" : fmt::format("{} x {}", g.first.rows, g.first.cols),
                          std::string(role_name(g.first.role)), g.first.stored, g.first.target, g.first.kernel,
                          g.first.rule, bytes_text(g.bytes_stored), bytes_text(g.bytes_packed)});
  }
  fmt::print("{}\n", table.text());

  TextTable totals{
      .headers = {"component", "weights", "quantized", "kept (sensitive)", "fallbacks", "stored size", "packed size"},
      .right = {false, true, true, true, true, true, true},
      .rows = {}};
  for (const ComponentTotal& t : loaded.ledger.totals()) {
    totals.rows.push_back({t.component, std::to_string(t.weights), std::to_string(t.quantized),
                           std::to_string(t.kept_sensitive), std::to_string(t.fallbacks), bytes_text(t.bytes_stored),
                           bytes_text(t.bytes_packed)});
  }
  fmt::print("{}\n", totals.text());
  std::vector<std::string> reasons;
  for (const LedgerRow& row : loaded.ledger.rows) {
    for (const std::string& refusal : row.refusals) {
      const std::string line = row.target + ": " + refusal;
      if (std::find(reasons.begin(), reasons.end(), line) == reasons.end()) reasons.push_back(line);
    }
  }
  if (!reasons.empty()) fmt::print("kernels that declined:\n");
  for (const std::string& reason : reasons) fmt::print("  {}\n", reason);
  fmt::print("peak while loading: {}\n", bytes_text(loaded.ledger.packed_bytes() + loaded.ledger.largest_load));
  for (const std::string& rule : loaded.unmatched) fmt::print("rule that matched no weight: {}\n", rule);
  for (const std::string& name : loaded.pipeline->unread()) fmt::print("tensor that nothing reads: {}\n", name);
}

int run(const CommonFlags& flags) {
  const ModelOptions options = flags.options();
  ThreadPool pool(1);
  Exec exec;
  exec.pool = &pool;
  exec.compute = options.compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16;
  const LoadedModel loaded = load_model(options, exec, Load::kPlan);
  if (flags.json)
    fmt::print("{}\n", plan_json(flags.model, loaded).dump(2));
  else
    print_plan(loaded);
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
