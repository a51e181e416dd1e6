#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace omni::cli {

// Colours of a row; only a terminal shows them (and not with NO_COLOR or TERM=dumb).
enum class Colour : uint8_t { kNone, kDim, kGreen, kRed, kYellow };
std::string coloured(const std::string& text, Colour colour);

// A table for a terminal: first column left, the others as told; columns as wide as their longest cell.
struct TextTable {
  std::vector<std::string> headers;
  std::vector<bool> right;  // a column each: align right
  std::vector<std::vector<std::string>> rows;
  std::vector<Colour> colours = {};  // a row each; shorter: the rest has none
  std::string text() const;
  std::string markdown() const;
};

std::string bytes_text(int64_t bytes);                // "22.6 MB"
std::string number_text(double value, int decimals);  // "46.8", "inf"
std::string machine_text(int threads);                // "AMD EPYC, 2 threads, avx512 + bf16 + vnni"
std::string today();                                  // "2026-11-24"

// A bar with the time left on a terminal (stderr), a plain line a finished job when piped, nothing when quiet.
class ProgressBar {
 public:
  ProgressBar(std::string what, bool quiet);
  ~ProgressBar();  // clears the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  void update(int64_t done, int64_t total);
  void finish(const std::string& line);  // what is left standing

 private:
  void clear();
  std::string what_;
  bool quiet_, terminal_, drawn_ = false;
  double start_ = 0, last_ = -1;
};

}  // namespace omni::cli
