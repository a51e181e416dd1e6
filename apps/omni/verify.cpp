#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/thread_pool.h"
#include "commands.h"
#include "common_flags.h"
#include "pipelines/model_location.h"
#include "terminal.h"
#include "verify_report.h"

namespace omni::cli {
namespace {

struct Flags {
  CommonFlags common;
  ImageFlags image;
  std::string against = "bf16", prompts, gate, report, sheet;
  std::vector<std::string> prompt;
  int seeds = 1;
};

struct Gate {
  std::string metric;
  double limit = 0;
};

std::vector<Gate> parse_gates(const std::string& text) {
  std::vector<Gate> gates;
  for (const std::string& part : split_list(text)) {
    const size_t equals = part.find('=');
    Gate gate{part.substr(0, equals), 0};
    if (gate.metric != "psnr" && gate.metric != "ssim" && gate.metric != "flip" && gate.metric != "latent") {
      const bool lpips = gate.metric == "lpips";
      throw usage_error("--gate",
                        "'" + gate.metric + "' " +
                            (lpips ? "needs backbone weights, which this build does not read" : "is no metric"),
                        "psnr, ssim, flip or latent");
    }
    std::istringstream number(equals == std::string::npos ? "" : part.substr(equals + 1));
    if (!(number >> gate.limit) || !number.eof())
      throw usage_error("--gate", "'" + part + "' has no number", "METRIC=NUMBER, as psnr=25");
    gates.push_back(gate);
  }
  return gates;
}

std::vector<VerifyCase> read_cases(const Flags& flags) {
  std::vector<std::string> prompts = flags.prompt;
  if (prompts.empty()) {
    const std::filesystem::path file =
        flags.prompts.empty() ? find_model(flags.common.model) / "prompts.txt" : std::filesystem::path(flags.prompts);
    std::istringstream lines(read_file(file, size_t{1} << 20));
    for (std::string line; std::getline(lines, line);) {
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
      if (!line.empty()) prompts.push_back(line);
    }
    if (prompts.empty()) throw Error(file.string(), "holds no prompt", "a prompt a line");
  }
  std::vector<VerifyCase> cases;
  for (const std::string& prompt : prompts) {
    for (int i = 0; i < flags.seeds; ++i) cases.push_back({prompt, flags.image.seed + static_cast<uint64_t>(i)});
  }
  return cases;
}

// Gates that a run misses, each with its worst prompts.
std::vector<std::string> missed(const Verification& v, const std::vector<Gate>& gates) {
  std::vector<std::string> failures;
  for (const Gate& gate : gates) {
    const bool at_least = gate.metric == "psnr" || gate.metric == "ssim";
    for (size_t i = 1; i < v.arms.size(); ++i) {
      for (size_t k = 0; k < v.cases.size(); ++k) {
        const VerifyScore& s = v.summaries[i].scores[k];
        const double value = gate.metric == "psnr"   ? s.psnr
                             : gate.metric == "ssim" ? s.ssim
                             : gate.metric == "flip" ? s.flip
                                                     : s.latent;
        if (at_least ? value >= gate.limit : value <= gate.limit) continue;
        failures.push_back(fmt::format("{} {} of {} on '{}' seed {} (gate {} {})", gate.metric,
                                       number_text(value, at_least && gate.metric == "psnr" ? 2 : 4), v.arms[i].name,
                                       v.cases[k].prompt, v.cases[k].seed, at_least ? ">=" : "<=", gate.limit));
      }
    }
  }
  return failures;
}

int run(const Flags& flags) {
  ModelOptions options = flags.common.options();
  const std::vector<Gate> gates = parse_gates(flags.gate);
  if (flags.against != "bf16" && flags.against != "f32")
    throw usage_error("--against", "is '" + flags.against + "'", "bf16 or f32");
  std::vector<std::string> wishes;
  if (!flags.common.quantization_config.empty())
    wishes.push_back(options.quantization);
  else
    wishes = split_list(options.quantization);
  if (wishes.empty()) throw usage_error("--quantization", "is missing", "the schemes to verify, as int8,fp8,q4_k");

  Verification v{.model = flags.common.model,
                 .machine = machine_text(ThreadPool(options.threads).threads()),
                 .date = today(),
                 .floor_name = "bf16 against f32",
                 .steps = flags.image.steps == 0 ? 20 : flags.image.steps,
                 .cases = read_cases(flags)};
  ImageRequest like = flags.image.request("");
  like.steps = v.steps;
  const auto arm = [&](const std::string& name, const std::string& wish, ComputeType compute) {
    ModelOptions o = options;
    o.quantization = wish;
    o.compute = compute;
    if (wish.empty()) o.ignored_layers.clear();
    return run_arm(name, o, like, v.cases, flags.common.quiet);
  };
  const ComputeType base = flags.against == "f32" ? ComputeType::kF32 : ComputeType::kBF16;
  v.arms.push_back(arm(flags.against, "", base));
  v.summaries.emplace_back();
  for (const std::string& wish : wishes) {
    v.arms.push_back(arm(wish, wish, base));
    v.summaries.push_back(summarize(v.arms[0], v.arms.back()));
  }
  v.width = v.arms[0].pictures[0].image.width;
  v.height = v.arms[0].pictures[0].image.height;
  {
    const bool f32 = base == ComputeType::kF32;
    const VerifyArm other = arm(f32 ? "bf16" : "f32", "", f32 ? ComputeType::kBF16 : ComputeType::kF32);
    v.floor = summarize(v.arms[0], other);
  }
  v.failures = missed(v, gates);
  if (!flags.sheet.empty()) write_image(flags.sheet, verify_sheet(v));
  if (!flags.report.empty()) write_file_whole(flags.report, verify_html(v));
  fmt::print("{}{}", flags.common.json ? verify_json(v) : verify_table(v), flags.common.json ? "\n" : "");
  for (const std::string& failure : v.failures) fmt::print(stderr, "omni: gate not met: {}\n", failure);
  return v.failures.empty() ? 0 : 1;
}

}  // namespace

Command add_verify(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->image.seed = 42;
  CLI::App* sub = app.add_subcommand("verify", "measure quantized runs against the float run, with gates");
  flags->common.add_to(*sub);
  flags->image.add_to(*sub);
  sub->add_option("--against", flags->against, "the baseline: bf16 or f32");
  sub->add_option("--prompt", flags->prompt, "a prompt; may be repeated");
  sub->add_option("--prompts", flags->prompts, "FILE with a prompt a line; the model's prompts.txt when not given");
  sub->add_option("--seeds", flags->seeds, "seeds a prompt, counted up from --seed (42)")->check(CLI::Range(1, 1000));
  sub->add_option("--gate", flags->gate, "psnr=25,ssim=0.9,flip=0.1,latent=0.2: exit code 1 when a picture misses one");
  sub->add_option("--report", flags->report, "FILE.html: one page with the table and the pictures side by side");
  sub->add_option("--sheet", flags->sheet, "FILE.png: the pictures in a grid with captions");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
