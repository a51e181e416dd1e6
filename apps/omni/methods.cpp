#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/encoding.h"
#include "commands.h"
#include "kernels/linear.h"
#include "method_rows.h"
#include "quant/config.h"
#include "terminal.h"

namespace omni::cli {
namespace {

struct Flags {
  bool json = false, markdown = false;
};

std::string join(const std::vector<std::string>& names, const std::string& quote = "") {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + quote + name + quote;
  return text;
}

nlohmann::json methods_json() {
  nlohmann::json methods = nlohmann::json::array(), readers = methods, absent = methods, kernels = methods;
  for (const MethodRow& row : method_rows()) {
    const bool online = !row.online.empty();
    methods.push_back({{"name", row.name},
                       {"also", row.also},
                       {"online", online ? nlohmann::json(row.online) : nlohmann::json()},
                       {"bits_per_weight", online ? nlohmann::json(row.bits) : nlohmann::json()},
                       {"inputs", online ? nlohmann::json(row.inputs) : nlohmann::json()},
                       {"encodings", row.encodings},
                       {"kernels", {{"cpu", row.cpu.empty() ? nlohmann::json() : nlohmann::json(row.cpu)}}},
                       {"what", row.what}});
  }
  for (const Encoding* e : encodings()) readers.push_back({{"name", e->name()}, {"what", e->what()}});
  for (const MethodName& method : method_names()) {
    if (method.use == MethodUse::kAbsent) absent.push_back({{"name", method.name}, {"instead", method.text}});
  }
  for (const LinearKernel* kernel : linear_kernels()) kernels.push_back(kernel->name());
  return {{"methods", methods}, {"encodings", readers}, {"linear_kernels", kernels}, {"not_here", absent}};
}

// One text table or one Markdown table of the same cells.
struct Printed {
  std::string title;
  TextTable table;
};

std::vector<Printed> tables(bool markdown) {
  const std::string quote = markdown ? "`" : "";
  const auto name = [&](const std::string& text) { return text.empty() ? "" : quote + text + quote; };
  Printed methods{"Methods",
                  {.headers = {"method", "also", "online", "bits", "inputs", "reads", "cpu", "what it is"},
                   .right = {false, false, false, true, false, false, false, false},
                   .rows = {}}};
  for (const MethodRow& row : method_rows()) {
    const bool online = !row.online.empty();
    const std::string kernel = row.cpu.empty() ? "dequantized" : row.cpu;
    methods.table.rows.push_back({name(row.name), join(row.also, quote), online ? name(row.online) : "no",
                                  online ? number_text(row.bits, 2) : "", row.inputs, join(row.encodings, quote),
                                  online ? kernel : "", row.what});
  }
  Printed readers{"Stored forms that are read", {.headers = {"encoding", "who writes it"}, .right = {}, .rows = {}}};
  for (const Encoding* e : encodings()) {
    readers.table.rows.push_back({name(std::string(e->name())), std::string(e->what())});
  }
  Printed absent{"Known by name, not done here", {.headers = {"method", "use instead"}, .right = {}, .rows = {}}};
  for (const MethodName& method : method_names()) {
    if (method.use == MethodUse::kAbsent)
      absent.table.rows.push_back({name(std::string(method.name)), std::string(method.text)});
  }
  return {methods, readers, absent};
}

int run(const Flags& flags) {
  if (flags.json) {
    fmt::print("{}\n", methods_json().dump(2));
    return 0;
  }
  std::string out;
  for (const Printed& printed : tables(flags.markdown)) {
    const std::string title = flags.markdown ? "**" + printed.title + "**\n\n" : printed.title + "\n\n";
    out += (out.empty() ? "" : "\n") + title + (flags.markdown ? printed.table.markdown() : printed.table.text());
  }
  fmt::print("{}", out);
  return 0;
}

}  // namespace

Command add_methods(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand(
      "methods", "methods x online rounding, stored forms, inputs and kernels (bits and kernels of a 3072 x 3072)");
  sub->add_flag("--json", flags->json, "print one JSON document");
  sub->add_flag("--markdown", flags->markdown, "print tables for the docs");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
