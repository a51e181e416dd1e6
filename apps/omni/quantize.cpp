#include "engine/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "commands.h"
#include "common_flags.h"
#include "terminal.h"

namespace omni::cli {
namespace {

struct Flags {
  CommonFlags common;
  std::string output, format, shard_size = "5GB";
  bool force = false;
};

volatile std::sig_atomic_t stopped = 0;

void stop(int signal) {
  stopped = signal;
}

// While it lives, an interrupt ends the work at the next weight, with everything cleaned up.
class Interruptible {
 public:
  Interruptible() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, stop);
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of the write
  }
  ~Interruptible() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGXFSZ}) std::signal(signal, SIG_DFL);
  }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
};

// "5GB", "500MB", "1000000".
int64_t bytes_of(const std::string& text) {
  size_t end = 0;
  double value = 0;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  const std::string unit = text.substr(end);
  const double scale = unit == "GB" ? 1e9 : unit == "MB" ? 1e6 : unit == "kB" ? 1e3 : unit.empty() ? 1 : 0;
  if (end == 0 || scale == 0 || !(value * scale >= 1) || value * scale > 1e15) {
    throw usage_error("--shard-size", "is '" + text + "'", "a size such as 5GB, 500MB or 1000000");
  }
  return static_cast<int64_t>(value * scale);
}

struct Errors {
  double mean = 0, largest = 0;
  std::string worst;
};

Errors errors_of(const QuantizeResult& result) {
  Errors out;
  for (const QuantizedWeight& weight : result.weights) {
    out.mean += weight.error / static_cast<double>(result.weights.size());
    if (weight.error < out.largest) continue;
    out.largest = weight.error;
    out.worst = weight.path;
  }
  return out;
}

nlohmann::json to_json(const std::string& model, const QuantizeResult& result) {
  nlohmann::json weights = nlohmann::json::array();
  for (const QuantizedWeight& w : result.weights) {
    weights.push_back({{"path", w.path},
                       {"shape", {w.rows, w.cols}},
                       {"stored", w.stored},
                       {"target", w.target},
                       {"bytes_before", w.bytes_before},
                       {"bytes_after", w.bytes_after},
                       {"error", w.error}});
  }
  const Errors errors = errors_of(result);
  return {{"model", model},
          {"format", result.format},
          {"path", result.path.string()},
          {"components", result.components},
          {"weights", weights},
          {"bytes_before", result.bytes_before},
          {"bytes_after", result.bytes_after},
          {"error_mean", errors.mean},
          {"error_max", errors.largest},
          {"notes", result.notes}};
}

// One row for all weights of one shape, stored and target form.
void print(const QuantizeResult& result) {
  struct Row {
    const QuantizedWeight* first;
    int64_t count = 0, before = 0, after = 0;
    double sum = 0, largest = 0;
  };
  std::vector<Row> rows;
  for (const QuantizedWeight& w : result.weights) {
    const auto component = [](const QuantizedWeight& x) { return x.path.substr(0, x.path.find('.')); };
    auto it = std::ranges::find_if(rows, [&](const Row& r) {
      return component(*r.first) == component(w) && r.first->rows == w.rows && r.first->cols == w.cols &&
             r.first->stored == w.stored && r.first->target == w.target;
    });
    if (it == rows.end()) it = rows.insert(rows.end(), Row{&w});
    it->count += 1;
    it->before += w.bytes_before;
    it->after += w.bytes_after;
    it->sum += w.error;
    it->largest = std::max(it->largest, w.error);
  }
  TextTable table{.headers = {"weight", "n", "shape", "stored", "target", "error mean", "max", "before", "after"},
                  .right = {false, true, false, false, false, true, true, true, true},
                  .rows = {}};
  for (const Row& r : rows) {
    table.rows.push_back({r.first->path + (r.count > 1 ? " ..." : ""), std::to_string(r.count),
                          fmt::format("{} x {}", r.first->rows, r.first->cols), r.first->stored, r.first->target,
                          number_text(r.sum / static_cast<double>(r.count), 5), number_text(r.largest, 5),
                          bytes_text(r.before), bytes_text(r.after)});
  }
  const Errors errors = errors_of(result);
  fmt::print("{}\n{} -> {} ({}), format {}\n", table.text(), bytes_text(result.bytes_before),
             bytes_text(result.bytes_after), result.path.string(), result.format);
  fmt::print("relative error of the rounding: mean {:.5f}, largest {:.5f} ({})\n", errors.mean, errors.largest,
             errors.worst);
  for (const std::string& note : result.notes) fmt::print("note: {}\n", note);
}

int run(const Flags& flags) {
  QuantizeOptions options;
  options.model = flags.common.options();
  options.out = flags.output;
  options.format = flags.format;
  options.force = flags.force;
  options.shard_bytes = bytes_of(flags.shard_size);
  ProgressBar bar("quantizing", flags.common.quiet);
  const Interruptible interruptible;
  const QuantizeResult result = quantize_model(options, [&](int64_t done, int64_t all) {
    if (stopped != 0) throw Error("quantize", "was interrupted", "no partial output: nothing was written");
    bar.update(done, all);
  });
  bar.finish(fmt::format("wrote {} ({})", result.path.string(), result.format));
  if (flags.common.json)
    fmt::print("{}\n", to_json(flags.common.model, result).dump(2));
  else
    print(result);
  return 0;
}

}  // namespace

Command add_quantize(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("quantize", "write a quantized checkpoint that other tools read");
  flags->common.add_to(*sub);
  std::string formats;
  for (const QuantizeFormat& format : quantize_formats()) {
    formats += (formats.empty() ? "" : "; ") + std::string(format.name) + ": " + std::string(format.what);
  }
  sub->add_option("-o,--output", flags->output, "the folder (or .gguf file) to write")->required();
  sub->add_option("--format", flags->format, formats + ". Left out: the first that holds the scheme");
  sub->add_option("--shard-size", flags->shard_size, "larger safetensors are cut into files of this size");
  sub->add_flag("--force", flags->force, "replace a model or .gguf file that is there");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
