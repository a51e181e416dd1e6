#include "terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string_view>
#include <utility>

#include "kernels/cpu/isa.h"

namespace omni::cli {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Columns a UTF-8 text takes, one a code point.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool shows_colours() {
  static const bool shows = [] {
    const char *no = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
    const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
    return isatty(STDOUT_FILENO) == 1 && (no == nullptr || *no == '\0') && !dumb;
  }();
  return shows;
}

const char* escape_of(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kDim:
      return "\033[2m";
    case Colour::kGreen:
      return "\033[32m";
    case Colour::kRed:
      return "\033[31m";
    case Colour::kYellow:
      return "\033[33m";
  }
  return "";
}

}  // namespace

std::string coloured(const std::string& text, Colour colour) {
  if (colour == Colour::kNone || !shows_colours()) return text;
  return escape_of(colour) + text + "\033[0m";
}

std::string TextTable::text() const {
  std::vector<size_t> widths(headers.size());
  for (size_t i = 0; i < headers.size(); ++i) widths[i] = width(headers[i]);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string pad(widths[i] - width(cells[i]), ' ');
      const bool to_right = i < right.size() && right[i];
      out += (i == 0 ? "" : "  ") + (to_right ? pad + cells[i] : cells[i] + pad);
    }
    return out.substr(0, out.find_last_not_of(' ') + 1);
  };
  std::string out = line(headers) + "\n";
  size_t total = 0;
  for (size_t i = 0; i < widths.size(); ++i) total += widths[i] + (i == 0 ? 0 : 2);
  out += std::string(total, '-') + "\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    out += coloured(line(rows[i]), i < colours.size() ? colours[i] : Colour::kNone) + "\n";
  }
  return out;
}

std::string TextTable::markdown() const {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string out = "|";
    for (const std::string& cell : cells) out += " " + cell + (cell.empty() ? "|" : " |");
    return out + "\n";
  };
  std::vector<std::string> rules;
  for (size_t i = 0; i < headers.size(); ++i) rules.push_back(i < right.size() && right[i] ? "--:" : "---");
  std::string out = line(headers) + line(rules);
  for (const auto& row : rows) out += line(row);
  return out;
}

std::string bytes_text(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", value / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  if (bytes >= 1'000) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

std::string number_text(double value, int decimals) {
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return fmt::format("{:.{}f}", value, decimals);
}

std::string machine_text(int threads) {
  std::string name = "unknown CPU";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) {
      name = line.substr(line.find(": ") + 2);
      break;
    }
  }
  const cpu::Features& f = cpu::features();
  std::string isa(cpu::isa_name(f.isa));
  if (f.bf16) isa += " + bf16";
  if (f.vnni) isa += " + vnni";
  return fmt::format("{}, {} thread{}, {}", name, threads, threads == 1 ? "" : "s", isa);
}

std::string today() {
  const std::time_t t = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&t, &parts);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
  return text;
}

ProgressBar::ProgressBar(std::string what, bool quiet)
    : what_(std::move(what)), quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1), start_(now()) {}

ProgressBar::~ProgressBar() {
  clear();
}

void ProgressBar::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressBar::update(int64_t done, int64_t total) {
  if (quiet_ || !terminal_ || total <= 0) return;
  const double t = now();
  if (done < total && t - last_ < 0.05) return;
  last_ = t;
  const double left = done > 0 ? (t - start_) * static_cast<double>(total - done) / static_cast<double>(done) : 0;
  const auto filled = static_cast<size_t>(24 * done / total);
  fmt::print(stderr, "\r\033[K{} [{}{}] {}/{}  {:.1f} s left", what_, std::string(filled, '#'),
             std::string(24 - filled, '.'), done, total, left);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::finish(const std::string& line) {
  clear();
  if (!quiet_) fmt::print(stderr, "{}\n", line);
}

}  // namespace omni::cli
