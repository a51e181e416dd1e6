#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "method_rows.h"
#include "pipelines/pipeline_list.h"
#include "terminal.h"

namespace omni::cli {
namespace {

struct Flags {
  bool json = false, markdown = false;
};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

nlohmann::json models_json() {
  nlohmann::json out = nlohmann::json::array();
  for (const PipelineEntry& p : pipelines()) {
    const PipelineScope scope = p.scope();
    out.push_back({{"pipeline", p.name},
                   {"architectures", p.architectures()},
                   {"components", scope.components},
                   {"by_default", scope.by_default}});
  }
  return out;
}

TextTable architecture_table() {
  TextTable table{
      .headers = {"architecture", "pipeline", "components", "a plain method reaches"}, .right = {}, .rows = {}};
  for (const PipelineEntry& p : pipelines()) {
    const PipelineScope scope = p.scope();
    for (const std::string& name : p.architectures()) {
      table.rows.push_back({name, std::string(p.name), join(scope.components), join(scope.by_default)});
    }
  }
  return table;
}

// Every linear of every network goes through one plan and one list of kernels, so that a method's row is the same for
// all of them; a column says what it is for one kind of model on one device.
TextTable matrix() {
  TextTable table{.headers = {"method"}, .right = {}, .rows = {}};
  for (const PipelineEntry& p : pipelines()) table.headers.push_back(std::string(p.name) + ", cpu");
  for (const MethodRow& row : method_rows()) {
    const bool online = !row.online.empty(), stored = !row.encodings.empty();
    std::string cell = online ? (row.cpu.empty() ? "online (dequantized)" : "online") : "";
    if (stored) cell += cell.empty() ? "stored" : ", stored";
    table.rows.push_back({row.name});
    for (size_t i = 0; i < pipelines().size(); ++i) table.rows.back().push_back(cell);
  }
  return table;
}

int run(const Flags& flags) {
  if (flags.json)
    fmt::print("{}\n", models_json().dump(2));
  else if (flags.markdown)
    fmt::print("{}\n{}", architecture_table().markdown(), matrix().markdown());
  else
    fmt::print("{}\n{}", architecture_table().text(), matrix().text());
  return 0;
}

}  // namespace

Command add_models(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("models", "architectures that load here, and which methods on them");
  sub->add_flag("--json", flags->json, "print one JSON document");
  sub->add_flag("--markdown", flags->markdown, "print tables for the docs");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
