#include "plan_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "terminal.h"

namespace omni::cli {
namespace {

bool is_number(std::string_view segment) {
  return !segment.empty() && segment.size() < 10 &&
         std::ranges::all_of(segment, [](char c) { return c >= '0' && c <= '9'; });
}

// The path with '*' for each number, and the numbers.
std::string without_numbers(std::string_view path, std::vector<int>& numbers) {
  std::string out;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    if (begin != 0) out += '.';
    if (is_number(segment)) {
      numbers.push_back(std::stoi(std::string(segment)));
      out += '*';
    } else {
      out += segment;
    }
    begin = end + 1;
  }
  return out;
}

// "7", "{0..18}" or "{0..3,9}".
std::string numbers_text(const std::set<int>& numbers) {
  std::string out;
  for (auto it = numbers.begin(); it != numbers.end();) {
    const int first = *it;
    int last = first;
    for (++it; it != numbers.end() && *it == last + 1; ++it) last = *it;
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last != first) out += (last == first + 1 ? "," : "..") + std::to_string(last);
  }
  return numbers.size() == 1 ? out : "{" + out + "}";
}

struct Collected {
  PlanGroup group;
  std::vector<std::set<int>> numbers;
};

std::string filled(const Collected& c) {
  std::string out;
  size_t star = 0;
  for (const char ch : c.group.path) {
    if (ch == '*' && star < c.numbers.size())
      out += numbers_text(c.numbers[star++]);
    else
      out += ch;
  }
  return out;
}

std::string weights_table(const Ledger& ledger) {
  TextTable table{
      .headers = {"weight", "n", "shape", "role", "stored", "target", "kernel", "rule", "stored size", "packed size"},
      .right = {false, true, false, false, false, false, false, false, true, true},
      .rows = {}};
  for (const PlanGroup& g : group_rows(ledger.rows)) {
    const bool never = g.first.role == Role::kNever;
    table.rows.push_back({g.path, fmt::format("x{}", g.count),
                          never ? "" : fmt::format("{} x {}", g.first.rows, g.first.cols),
                          std::string(role_name(g.first.role)), g.first.stored, g.first.target, g.first.kernel,
                          g.first.rule, bytes_text(g.bytes_stored), bytes_text(g.bytes_packed)});
    table.colours.push_back(g.first.fallback    ? Colour::kYellow
                            : g.first.quantized ? Colour::kGreen
                            : never             ? Colour::kDim
                                                : Colour::kNone);
  }
  return table.text();
}

std::string totals_table(const Ledger& ledger) {
  TextTable totals{
      .headers = {"component", "weights", "quantized", "kept (sensitive)", "fallbacks", "stored size", "packed size"},
      .right = {false, true, true, true, true, true, true},
      .rows = {}};
  ComponentTotal all{.component = "all"};
  const auto add = [&](const ComponentTotal& t) {
    totals.rows.push_back({t.component, std::to_string(t.weights), std::to_string(t.quantized),
                           std::to_string(t.kept_sensitive), std::to_string(t.fallbacks), bytes_text(t.bytes_stored),
                           bytes_text(t.bytes_packed)});
  };
  for (const ComponentTotal& t : ledger.totals()) {
    add(t);
    all.weights += t.weights;
    all.quantized += t.quantized;
    all.kept_sensitive += t.kept_sensitive;
    all.fallbacks += t.fallbacks;
    all.bytes_stored += t.bytes_stored;
    all.bytes_packed += t.bytes_packed;
  }
  if (totals.rows.size() > 1) add(all);
  return totals.text();
}

// Each fallback once with its count, and under it why the better kernels declined; refusals of other rows after them.
std::string fallbacks_text(const Ledger& ledger) {
  std::map<std::string, int64_t> fallbacks;
  std::map<std::string, std::vector<std::string>> reasons;
  std::vector<std::string> declined;
  for (const LedgerRow& row : ledger.rows) {
    const std::string what = row.target + (row.dequantized ? " is dequantized at load, " : " is multiplied by ") +
                             row.kernel + (row.dequantized ? " multiplies floats" : "");
    if (row.fallback) {
      fallbacks[what] += 1;
      reasons[what] = row.refusals;
      continue;
    }
    for (const std::string& refusal : row.refusals) {
      const std::string line = row.target + ": " + refusal;
      if (std::ranges::find(declined, line) == declined.end()) declined.push_back(line);
    }
  }
  std::string out;
  for (const auto& [what, count] : fallbacks) {
    out += coloured(fmt::format("fallback x{}: {}", count, what), Colour::kYellow) + "\n";
    for (const std::string& reason : reasons[what]) out += "  " + reason + "\n";
  }
  if (!declined.empty()) out += "kernels that declined:\n";
  for (const std::string& line : declined) out += "  " + line + "\n";
  return out;
}

}  // namespace

std::vector<PlanGroup> group_rows(const std::vector<LedgerRow>& rows) {
  std::map<std::string, size_t> index;
  std::vector<Collected> groups;
  for (const LedgerRow& row : rows) {
    std::vector<int> numbers;
    std::string path = row.component + ": norms, biases, tables, convolutions", key = path;
    if (row.role != Role::kNever) {
      path = without_numbers(row.path, numbers);
      key = fmt::format("{}|{}|{}|{}|{}|{}|{}|{}", path, row.rows, row.cols, row.stored, row.target, row.kernel,
                        row.rule, role_name(row.role));
    }
    const auto [it, is_new] = index.try_emplace(key, groups.size());
    if (is_new) groups.push_back({PlanGroup{path, row, 0, 0, 0}, std::vector<std::set<int>>(numbers.size())});
    Collected& to = groups[it->second];
    to.group.count += 1;
    to.group.bytes_stored += row.bytes_stored;
    to.group.bytes_packed += row.bytes_packed;
    for (size_t i = 0; i < numbers.size(); ++i) to.numbers[i].insert(numbers[i]);
  }
  std::vector<PlanGroup> out;
  for (Collected& c : groups) {
    c.group.path = filled(c);
    out.push_back(std::move(c.group));
  }
  return out;
}

std::string plan_text(const Ledger& ledger, const PlanText& more) {
  std::string out = weights_table(ledger) + "\n" + totals_table(ledger) + "\n" + fallbacks_text(ledger);
  const int64_t run = ledger.packed_bytes();
  out += fmt::format("weights in memory while running: {}\npeak while loading: {}\n", bytes_text(run),
                     bytes_text(run + ledger.largest_load));
  for (const std::string& note : more.notes) out += "note: " + note + "\n";
  for (const std::string& rule : more.unmatched) {
    out += coloured("rule that matched no weight: " + rule, Colour::kRed) + "\n";
  }
  for (const std::string& name : more.unread) {
    out += coloured("tensor that nothing reads: " + name, Colour::kYellow) + "\n";
  }
  return out;
}

}  // namespace omni::cli
