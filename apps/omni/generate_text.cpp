#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/checkpoint.h"
#include "generate.h"
#include "load_engine.h"
#include "taps.h"
#include "terminal.h"

namespace omni::cli {
namespace {

std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char *at = text.data(), *end = at + text.size(); at != end;) {
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    const bool more = next != end && *next == ',' && next + 1 != end;
    if (error != std::errc() || id < 0 || (next != end && !more)) {
      throw usage_error("--prompt-ids", "is '" + text.substr(0, 60) + "'", "token ids such as 5,17,9");
    }
    ids.push_back(id);
    at = next == end ? end : next + 1;
  }
  return ids;
}

TextRequest request_of(const GenerateFlags& flags) {
  if (flags.prompt.empty() == flags.prompt_ids.empty()) {
    throw usage_error("--prompt", flags.prompt.empty() ? "is missing" : "stands beside --prompt-ids",
                      "one of --prompt and --prompt-ids");
  }
  if (flags.temperature != 0) {
    throw usage_error("--temperature", "is " + number_text(flags.temperature, 2) + ", and only greedy is there",
                      "0, or no --temperature");
  }
  return TextRequest{.prompt = flags.prompt,
                     .prompt_ids = parse_ids(flags.prompt_ids),
                     .chat_template = !flags.no_chat_template,
                     .max_tokens = flags.max_tokens,
                     .ignore_end = flags.ignore_eos,
                     .prompt_logits = !flags.dump_logits.empty()};
}

void write_logits(const std::string& path, const TextDone& done) {
  const auto rows = static_cast<int64_t>(done.prompt_tokens);
  const auto cols = static_cast<int64_t>(done.prompt_logits.size()) / std::max<int64_t>(rows, 1);
  Tensor logits(DType::kF32, Shape{rows, cols});
  std::copy(done.prompt_logits.begin(), done.prompt_logits.end(), logits.f32());
  write_npy(path, logits);
}

void print_json(const TextDone& done, const Engine& engine, const std::string& wish) {
  const nlohmann::json document = {
      {"outputs",
       {{{"token_ids", done.token_ids}, {"finish_reason", done.finish_reason}, {"prompt_tokens", done.prompt_tokens}}}},
      {"timings",
       {{"load_s", engine.load_seconds()},
        {"prefill_s", done.timings.prefill_s},
        {"decode_s", done.timings.decode_s},
        {"total_s", done.timings.prefill_s + done.timings.decode_s}}},
      {"memory", {{"weights_bytes", engine.ledger().packed_bytes()}, {"peak_bytes", peak_resident_bytes()}}},
      {"quantization", quantization_json(wish, engine.ledger())}};
  fmt::print("{}\n", document.dump(2));
}

}  // namespace

int generate_text(const GenerateFlags& flags) {
  const ModelOptions options = flags.common.options();
  const TextRequest request = request_of(flags);
  const std::unique_ptr<Engine> loaded = load_engine(options, flags.common.quiet);
  Engine& engine = *loaded;
  std::unique_ptr<TapWriter> taps;
  if (!flags.taps.empty()) {
    taps = std::make_unique<TapWriter>(flags.taps, flags.taps_filter);
    engine.set_tap(taps.get());
  }
  ProgressBar bar("writing", flags.common.quiet);
  std::optional<TextDone> done;
  std::optional<Failed> failed;
  engine.submit(request);
  engine.run([&](const Event& event) {
    if (const auto* progress = std::get_if<Progress>(&event)) bar.update(progress->step, progress->steps);
    if (const auto* text = std::get_if<TextDone>(&event)) done = *text;
    if (const auto* failure = std::get_if<Failed>(&event)) failed = *failure;
  });
  if (failed) {
    std::fprintf(stderr, "omni: error: %s\n", failed->message.c_str());
    return failed->usage ? 2 : 1;
  }
  bar.finish(fmt::format("{} tokens read in {:.3f} s, {} written in {:.3f} s (load {:.2f}), weights {}",
                         done->prompt_tokens, done->timings.prefill_s, done->token_ids.size(), done->timings.decode_s,
                         engine.load_seconds(), bytes_text(engine.ledger().packed_bytes())));
  if (!flags.dump_logits.empty()) write_logits(flags.dump_logits, *done);
  if (flags.common.json)
    print_json(*done, engine, options.quantization);
  else
    fmt::print("{}\n", fmt::join(done->token_ids, ","));
  return 0;
}

}  // namespace omni::cli
