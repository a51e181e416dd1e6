#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "checkpoint/encoding.h"
#include "commands.h"
#include "kernels/linear.h"
#include "quant/method.h"
#include "quant/scheme.h"
#include "terminal.h"

namespace omni::cli {
namespace {

constexpr int64_t kSide = 3072;  // of the matrix that bits and kernels are told for

struct Flags {
  bool json = false, markdown = false;
};

// What there is to say of one name a user may give: a method, or a scheme that has a name of its own.
struct MethodRow {
  std::string name, online, inputs, what;  // online: the scheme that float weights are rounded to; "" = none
  std::vector<std::string> also, encodings;
  double bits = 0;
  std::string cpu;  // the weights part of the fastest kernel's name; "" when only the reference multiplies it
};

std::string join(const std::vector<std::string>& names, const std::string& quote = "") {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + quote + name + quote;
  return text;
}

std::string inputs_text(const QuantScheme& scheme) {
  const std::string codes = scheme.act_codes == DType::kI8 ? "int8" : "fp8";
  switch (scheme.act) {
    case ActQuant::kNone:
      return "float";
    case ActQuant::kStatic:
      return codes + ", static scale";
    case ActQuant::kPerTensor:
      return codes + " per tensor";
    case ActQuant::kPerToken:
      return codes + " per token";
    case ActQuant::kPerGroup:
      return codes + " per group";
  }
  return "";
}

// linear_WEIGHTS_ACTIVATIONS_ISA: the weights part, which does not depend on the machine.
std::string kernel_of(const QuantScheme& scheme) {
  const KernelChoice choice = find_linear_kernel({.scheme = scheme, .n = kSide, .k = kSide});
  if (choice.kernel == nullptr || choice.kernel->is_reference()) return "";
  std::string name(choice.kernel->name());
  name.erase(0, name.find('_') + 1);
  return name.substr(0, name.find('_'));
}

void describe_scheme(const QuantScheme& scheme, MethodRow& row) {
  row.online = scheme.text();
  row.bits = bits_per_weight(scheme, kSide, kSide);
  row.inputs = inputs_text(scheme);
  row.cpu = kernel_of(scheme);
}

// An encoding reads the method of its own name, and those whose name begins with it ("modelopt" reads "modelopt_fp4").
std::vector<std::string> encodings_of(std::string_view method) {
  std::vector<std::string> out;
  for (const Encoding* encoding : encodings()) {
    const std::string name = fold_method(encoding->name());
    if (method == name || method.starts_with(name + "_")) out.emplace_back(encoding->name());
  }
  return out;
}

std::vector<MethodRow> method_rows() {
  std::vector<MethodRow> rows;
  for (const MethodName& method : method_names()) {
    if (method.use == MethodUse::kAbsent) continue;
    MethodRow row{.name = std::string(method.name)};
    for (const std::string_view alias : method_aliases(method.name)) row.also.emplace_back(alias);
    row.encodings = encodings_of(method.name);
    if (method.use == MethodUse::kOnline) {
      describe_scheme(parse_scheme(method.text).value(), row);
      const Preset* preset = find_preset(row.online);
      row.what = preset != nullptr ? preset->what : "scheme " + row.online;
    } else {
      row.what = "as a checkpoint stores it; for float weights: " + std::string(method.text);
    }
    rows.push_back(std::move(row));
  }
  for (const Preset& preset : presets()) {
    if (find_method(preset.name) != nullptr) continue;
    MethodRow row{.name = std::string(preset.name), .what = std::string(preset.what)};
    if (preset.name.starts_with('q')) row.also = {"gguf:" + row.name};
    describe_scheme(preset.scheme, row);
    rows.push_back(std::move(row));
  }
  std::ranges::sort(rows, {}, &MethodRow::name);
  return rows;
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
