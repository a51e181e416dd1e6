#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "quant/config.h"
#include "quant/scheme.h"
#include "terminal.h"

namespace omni::cli {
namespace {

struct Flags {
  bool json = false, markdown = false;
};

int run(const Flags& flags) {
  TextTable table{.headers = {"name", "bits a weight", "what it is"}, .right = {false, true, false}, .rows = {}};
  nlohmann::json document = nlohmann::json::array();
  for (const Preset& p : presets()) {
    const double bits = bits_per_weight(p.scheme, 3072, 3072);
    table.rows.push_back({std::string(p.name), number_text(bits, 2), std::string(p.what)});
    document.push_back({{"name", p.name}, {"bits_per_weight", bits}, {"what", p.what}});
  }
  if (flags.json) {
    fmt::print("{}\n", document.dump(2));
  } else if (flags.markdown) {
    fmt::print("| name | bits a weight | what it is |\n| --- | --: | --- |\n");
    for (const auto& row : table.rows) fmt::print("| `{}` | {} | {} |\n", row[0], row[1], row[2]);
  } else {
    fmt::print("{}", table.text());
  }
  return 0;
}

}  // namespace

Command add_methods(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub =
      app.add_subcommand("methods", "the quantization schemes whose numerics exist here (3072 x 3072 for the bits)");
  sub->add_flag("--json", flags->json, "print one JSON document");
  sub->add_flag("--markdown", flags->markdown, "print a table for the docs");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
