#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <set>

#include "base/error.h"
#include "commands.h"
#include "inspect_parts.h"
#include "terminal.h"

namespace omni::cli {
namespace {

constexpr size_t kLongText = 160;  // characters of a metadata value that a reader sees

struct Flags {
  std::string path, decode, output;
  bool json = false, check = false;
};

// Everything that is printed of one part.
struct Report {
  const InspectPart* part = nullptr;
  std::vector<InspectRow> rows;
  std::vector<InspectKvScales> kv_scales;
  std::set<std::string> files;
  int64_t bytes = 0;
  std::optional<int64_t> checked;  // weights whose values were read

  bool quantized() const { return std::ranges::any_of(rows, &InspectRow::quantized); }
};

std::string container_of(const Report& report) {
  const bool gguf = !report.files.empty() && report.files.begin()->ends_with(".gguf");
  return gguf ? "gguf" : "safetensors";
}

Report report_on(const InspectPart& part) {
  Report report;
  report.part = &part;
  report.rows = inspect_rows(part);
  report.kv_scales = inspect_kv_scales(part);
  for (const InspectRow& row : report.rows) {
    report.bytes += row.bytes;
    for (const std::string& tensor : row.tensors) {
      if (const Checkpoint::Entry* entry = part.checkpoint->find(tensor))
        report.files.insert(entry->file.filename().string());
    }
  }
  return report;
}

struct Count {
  int64_t weights = 0, bytes = 0;
};
std::map<std::string, Count> schemes_of(const Report& report) {
  std::map<std::string, Count> counts;
  for (const InspectRow& row : report.rows) {
    if (!row.is_weight) continue;
    counts[row.stored].weights += 1;
    counts[row.stored].bytes += row.bytes;
  }
  return counts;
}

// Numbers of blocks and experts as a star, so that repeated blocks are one line.
std::string group_name(const std::string& name) {
  static const std::regex number("(^|\\.)[0-9]+(?=\\.|$)");
  return std::regex_replace(name, number, "$1*");
}

struct Group {
  InspectRow first;
  int64_t count = 0, bytes = 0;
};
std::vector<Group> grouped(const std::vector<InspectRow>& rows) {
  std::vector<Group> groups;
  std::map<std::string, size_t> places;
  for (const InspectRow& row : rows) {
    const std::string name = group_name(row.name);
    const auto [it, fresh] = places.emplace(name + "|" + row.stored + "|" + row.shape.text(), groups.size());
    if (fresh) {
      groups.push_back({row, 0, 0});
      groups.back().first.name = name;
    }
    groups[it->second].count += 1;
    groups[it->second].bytes += row.bytes;
  }
  return groups;
}

nlohmann::json shape_json(const Shape& shape) {
  nlohmann::json out = nlohmann::json::array();
  for (int axis = 0; axis < shape.rank(); ++axis) out.push_back(shape[axis]);
  return out;
}

nlohmann::json quantization_json(const Report& report) {
  nlohmann::json out = nlohmann::json::array();
  for (const StoredPart& part : report.part->stored.parts) {
    const bool said = part.quantization.has_value();
    if (!said && !report.quantized()) continue;
    out.push_back({{"prefixes", part.prefixes},
                   {"encoding", part.encoding->name()},
                   {"config", said ? part.quantization->value() : nlohmann::json()}});
  }
  return out;
}

nlohmann::json part_json(const Report& report) {
  const InspectPart& part = *report.part;
  nlohmann::json weights = nlohmann::json::array(), tensors = nlohmann::json::array();
  nlohmann::json kept = nlohmann::json::array(), unclaimed = nlohmann::json::array();
  for (const InspectRow& row : report.rows) {
    if (row.is_weight) {
      weights.push_back({{"name", row.name},
                         {"stored", row.stored},
                         {"shape", shape_json(row.shape)},
                         {"bytes", row.bytes},
                         {"tensors", row.tensors}});
      if (!row.ggml_type.empty()) weights.back()["ggml_type"] = row.ggml_type;
      if (report.quantized() && !row.quantized) kept.push_back(row.name);
    } else {
      tensors.push_back(
          {{"name", row.name}, {"dtype", row.stored}, {"shape", shape_json(row.shape)}, {"bytes", row.bytes}});
      if (!row.is_float) unclaimed.push_back(row.name);
    }
  }
  nlohmann::json metadata = nlohmann::json::object(), kv = nlohmann::json::object();
  for (const std::string& key : part.checkpoint->metadata_keys()) metadata[key] = part.checkpoint->metadata(key);
  for (const InspectKvScales& at : report.kv_scales) kv[at.attention] = {{"k", at.scales.k}, {"v", at.scales.v}};
  nlohmann::json schemes = nlohmann::json::object();
  for (const auto& [stored, count] : schemes_of(report))
    schemes[stored] = {{"weights", count.weights}, {"bytes", count.bytes}};
  return {{"component", part.component},
          {"container", container_of(report)},
          {"files", report.files},
          {"metadata", metadata},
          {"method", part.stored.weights->method()},
          {"quantization", quantization_json(report)},
          {"schemes", schemes},
          {"weights", weights},
          {"tensors", tensors},
          {"kept_float", kept},
          {"kv_scales", kv},
          {"unclaimed", unclaimed},
          {"bytes", report.bytes},
          {"checked_weights", report.checked ? nlohmann::json(*report.checked) : nlohmann::json()}};
}

std::string shortened(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  if (text.size() <= kLongText) return text;
  size_t end = kLongText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // whole UTF-8 characters
  return text.substr(0, end) + fmt::format(" ... ({} characters)", text.size());
}

// Names of float matrices in a quantized checkpoint, or of tensors without a known meaning; repeated blocks once.
std::string group_list(const std::vector<InspectRow>& rows, bool (*wanted)(const InspectRow&)) {
  std::vector<InspectRow> some;
  std::ranges::copy_if(rows, std::back_inserter(some), wanted);
  std::string text;
  for (const Group& group : grouped(some)) {
    text += (text.empty() ? "" : ", ") + group.first.name;
    if (group.count > 1) text += fmt::format(" ({})", group.count);
  }
  return text;
}

void print_heading(const Report& report) {
  const InspectPart& part = *report.part;
  fmt::print("{}{}: {} in {} file{}, {}\n", part.component.empty() ? "" : part.component + ": ",
             part.checkpoint->where(), container_of(report), report.files.size(), report.files.size() == 1 ? "" : "s",
             bytes_text(report.bytes));
  for (const std::string& key : part.checkpoint->metadata_keys())
    fmt::print("  {} = {}\n", key, shortened(part.checkpoint->metadata(key)));
  for (const StoredPart& stored : part.stored.parts) {
    if (!stored.quantization && !report.quantized()) continue;
    std::string where;
    for (const std::string& prefix : stored.prefixes) where += (where.empty() ? " of " : ", ") + prefix;
    const bool several = part.stored.parts.size() > 1;
    fmt::print("quantization{}: encoding {}", several && where.empty() ? " of the rest" : where,
               stored.encoding->name());
    if (stored.quantization)
      fmt::print(", from {}: {}", stored.quantization->where(), stored.quantization->value().dump());
    fmt::print("\n");
  }
}

void print_part(const Report& report) {
  print_heading(report);
  TextTable table{
      .headers = {"name", "n", "shape", "stored", "size"}, .right = {false, true, false, false, true}, .rows = {}};
  for (const Group& group : grouped(report.rows)) {
    const std::string& type = group.first.ggml_type;
    const std::string stored = type.empty() ? group.first.stored : type + ": " + group.first.stored;
    table.rows.push_back(
        {group.first.name, std::to_string(group.count), group.first.shape.text(), stored, bytes_text(group.bytes)});
  }
  fmt::print("\n{}\n", table.text());
  for (const auto& [stored, count] : schemes_of(report))
    fmt::print("{}: {} weight{}, {}\n", stored, count.weights, count.weights == 1 ? "" : "s", bytes_text(count.bytes));
  if (report.quantized()) {
    const std::string kept =
        group_list(report.rows, [](const InspectRow& row) { return row.is_weight && !row.quantized; });
    if (!kept.empty()) fmt::print("kept in float: {}\n", kept);
  }
  for (const InspectKvScales& at : report.kv_scales)
    fmt::print("KV cache scales of {}: k {}, v {}\n", at.attention, at.scales.k, at.scales.v);
  const std::string unclaimed =
      group_list(report.rows, [](const InspectRow& row) { return !row.is_weight && !row.is_float; });
  if (!unclaimed.empty()) fmt::print("tensors of no known meaning: {}\n", unclaimed);
  if (report.checked)
    fmt::print("values of {} quantized weights checked\n", *report.checked);
  else
    fmt::print("values not checked: larger than {}, use --check\n", bytes_text(kSmallCheckpoint));
}

int run(const Flags& flags) {
  const std::vector<InspectPart> parts = open_parts(flags.path);
  if (!flags.decode.empty()) {
    write_npy(flags.output, decode_by_name(parts, flags.decode));
    return 0;
  }
  std::vector<Report> reports;
  int64_t bytes = 0;
  for (const InspectPart& part : parts) {
    reports.push_back(report_on(part));
    bytes += reports.back().bytes;
  }
  nlohmann::json documents = nlohmann::json::array();
  for (Report& report : reports) {
    const StoredWeights& weights = *report.part->stored.weights;
    report.checked = flags.check ? check_values(weights) : check_small_values(weights);
    documents.push_back(flags.json ? part_json(report) : nlohmann::json());
  }
  if (flags.json) {
    fmt::print("{}\n", nlohmann::json{{"path", flags.path}, {"bytes", bytes}, {"parts", documents}}.dump(2));
    return 0;
  }
  for (const Report& report : reports) print_part(report);
  return 0;
}

}  // namespace

Command add_inspect(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("inspect", "tensors and stored quantization of a checkpoint; a weight as .npy");
  sub->add_option("PATH", flags->path, "a .safetensors or .gguf file, an index, a component's folder, a model")
      ->required();
  CLI::Option* output = sub->add_option("-o,--output", flags->output, "FILE.npy for --decode");
  sub->add_option("--decode", flags->decode, "WEIGHT: write this one, dequantized to f32")->needs(output);
  sub->add_flag("--check", flags->check, "read and check every value, of checkpoints above 64 MiB too");
  sub->add_flag("--json", flags->json, "print one JSON document");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
