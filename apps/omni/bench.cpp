#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "commands.h"
#include "common_flags.h"
#include "load_engine.h"
#include "terminal.h"

namespace omni::cli {
namespace {

struct Flags {
  CommonFlags common;
  ImageFlags image;
  std::string prompt = "a cat";
  int repeat = 5;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

ImageTimings paint(Engine& engine, const ImageRequest& request) {
  ImageTimings timings;
  std::string failure;
  engine.submit(request);
  engine.run([&](const Event& event) {
    if (const auto* done = std::get_if<ImageDone>(&event)) timings = done->timings;
    if (const auto* failed = std::get_if<Failed>(&event)) failure = failed->message;
  });
  if (!failure.empty()) throw usage_error("bench", failure);
  return timings;
}

int run(const Flags& flags) {
  const ModelOptions options = flags.common.options();
  const std::unique_ptr<Engine> loaded = load_engine(options, flags.common.quiet);
  Engine& engine = *loaded;
  ImageRequest request = flags.image.request(flags.prompt);
  if (request.steps == 0) request.steps = 20;
  paint(engine, request);  // warm: the scratch memory has grown, the files are in memory
  std::vector<double> total, encode, denoise, decode;
  for (int i = 0; i < flags.repeat; ++i) {
    const ImageTimings t = paint(engine, request);
    total.push_back(t.encode_s + t.denoise_s + t.decode_s);
    encode.push_back(t.encode_s);
    denoise.push_back(t.denoise_s);
    decode.push_back(t.decode_s);
  }
  const double step = median(denoise) / request.steps;
  if (flags.common.json) {
    const nlohmann::json document = {
        {"outputs", {{{"test", "image"}, {"seconds", median(total)}, {"seconds_per_step", step}, {"runs", total}}}},
        {"timings",
         {{"load_s", engine.load_seconds()},
          {"encode_s", median(encode)},
          {"denoise_s", median(denoise)},
          {"decode_s", median(decode)},
          {"total_s", median(total)}}},
        {"memory", {{"weights_bytes", engine.ledger().packed_bytes()}, {"peak_bytes", peak_resident_bytes()}}},
        {"quantization", quantization_json(options.quantization, engine.ledger())}};
    fmt::print("{}\n", document.dump(2));
    return 0;
  }
  TextTable table{.headers = {"test", "seconds", "encode", "denoise", "decode", "s/step", "weights", "peak"},
                  .right = {false, true, true, true, true, true, true, true},
                  .rows = {{"image", number_text(median(total), 4), number_text(median(encode), 4),
                            number_text(median(denoise), 4), number_text(median(decode), 4), number_text(step, 5),
                            bytes_text(engine.ledger().packed_bytes()), bytes_text(peak_resident_bytes())}}};
  fmt::print("{}median of {}, warm; {}\n", table.text(), flags.repeat,
             machine_text(ThreadPool(options.threads).threads()));
  return 0;
}

}  // namespace

Command add_bench(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("bench", "time a picture, warm, median of several");
  flags->common.add_to(*sub);
  flags->image.add_to(*sub);
  sub->add_option("--prompt", flags->prompt, "what to paint");
  sub->add_option("--repeat", flags->repeat, "runs after the warm-up")->check(CLI::Range(1, 1000));
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
