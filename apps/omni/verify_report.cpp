#include "verify_report.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "media/contact_sheet.h"
#include "media/html_report.h"
#include "terminal.h"

namespace omni::cli {
namespace {

const std::vector<std::string>& headers() {
  static const std::vector<std::string> names = {"run",          "PSNR min",    "mean",      "SSIM min",
                                                 "latent error", "s / picture", "ms / step", "block weights",
                                                 "all weights",  "peak memory"};
  return names;
}

std::vector<std::string> quality_cells(const VerifySummary& s) {
  return {number_text(s.psnr_min, 1) + " dB", number_text(s.psnr_mean, 1) + " dB", number_text(s.ssim_min, 4),
          number_text(s.latent_max, 4)};
}

// A time with its speed-up over the baseline.
std::string time_cell(double value, double scale, int decimals, double base) {
  return number_text(value * scale, decimals) + " (" + number_text(base / value, 2) + "x)";
}

std::vector<std::string> cells(const Verification& v, size_t i) {
  const VerifyArm& arm = v.arms[i];
  const VerifyArm& base = v.arms[0];
  std::vector<std::string> out = {arm.name};
  if (arm.fallbacks > 0) out[0] += " (" + std::to_string(arm.fallbacks) + " fallbacks)";
  const std::vector<std::string> quality = i == 0 ? std::vector<std::string>(4, "-") : quality_cells(v.summaries[i]);
  out.insert(out.end(), quality.begin(), quality.end());
  out.push_back(time_cell(arm.seconds(), 1, 3, base.seconds()));
  out.push_back(time_cell(arm.step_seconds(v.steps), 1e3, 2, base.step_seconds(v.steps)));
  out.push_back(arm.quantized == 0 ? "float"
                                   : bytes_text(arm.quantized_bytes) + " of " + bytes_text(arm.quantized_before));
  out.push_back(bytes_text(arm.weight_bytes));
  out.push_back(bytes_text(arm.peak_bytes));
  return out;
}

std::vector<std::string> floor_cells(const Verification& v) {
  std::vector<std::string> out = {v.floor_name + " (noise floor)"};
  const std::vector<std::string> quality = quality_cells(v.floor);
  out.insert(out.end(), quality.begin(), quality.end());
  out.resize(headers().size());
  return out;
}

std::string case_text(const VerifyCase& c) {
  return fmt::format("'{}' seed {}", c.prompt, c.seed);
}

nlohmann::json finite(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(number_text(value, 0));
}

nlohmann::json summary_json(const Verification& v, const VerifySummary& s) {
  nlohmann::json prompts = nlohmann::json::array();
  for (size_t i = 0; i < s.scores.size(); ++i) {
    prompts.push_back({{"prompt", v.cases[i].prompt},
                       {"seed", v.cases[i].seed},
                       {"psnr", finite(s.scores[i].psnr)},
                       {"ssim", s.scores[i].ssim},
                       {"flip", s.scores[i].flip},
                       {"latent_error", finite(s.scores[i].latent)},
                       {"worst_step", s.scores[i].worst_step}});
  }
  return {{"psnr_min", finite(s.psnr_min)},
          {"psnr_mean", finite(s.psnr_mean)},
          {"psnr_max", finite(s.psnr_max)},
          {"ssim_min", s.ssim_min},
          {"flip_max", s.flip_max},
          {"latent_error_max", finite(s.latent_max)},
          {"prompts", prompts}};
}

}  // namespace

std::string verify_table(const Verification& v) {
  TextTable table{.headers = headers(), .right = std::vector<bool>(headers().size(), true), .rows = {}};
  table.right[0] = false;
  for (size_t i = 0; i < v.arms.size(); ++i) table.rows.push_back(cells(v, i));
  table.rows.push_back(floor_cells(v));
  return table.text() + fmt::format("{}, {}x{}, {} steps, {} pictures a run, medians; {}; {}\n", v.model, v.width,
                                    v.height, v.steps, v.cases.size(), v.machine, v.date);
}

std::string verify_json(const Verification& v) {
  nlohmann::json arms = nlohmann::json::array();
  for (size_t i = 0; i < v.arms.size(); ++i) {
    const VerifyArm& arm = v.arms[i];
    nlohmann::json entry = {{"name", arm.name},
                            {"seconds", arm.seconds()},
                            {"seconds_per_step", arm.step_seconds(v.steps)},
                            {"load_s", arm.load_s},
                            {"weights_bytes", arm.weight_bytes},
                            {"quantized_bytes", arm.quantized_bytes},
                            {"quantized_bytes_before", arm.quantized_before},
                            {"quantized_weights", arm.quantized},
                            {"fallbacks", arm.fallbacks},
                            {"peak_bytes", arm.peak_bytes}};
    if (i > 0) entry["quality"] = summary_json(v, v.summaries[i]);
    arms.push_back(std::move(entry));
  }
  return nlohmann::json{{"model", v.model},
                        {"machine", v.machine},
                        {"date", v.date},
                        {"width", v.width},
                        {"height", v.height},
                        {"steps", v.steps},
                        {"outputs", arms},
                        {"noise_floor", {{"between", v.floor_name}, {"quality", summary_json(v, v.floor)}}},
                        {"gates_failed", v.failures}}
      .dump(2);
}

std::string verify_html(const Verification& v) {
  using Style = Report::Style;
  Report report{.title = "omni verify: " + v.model,
                .subtitle = fmt::format("{}x{}, {} steps, {} pictures a run. {}. {}", v.width, v.height, v.steps,
                                        v.cases.size(), v.machine, v.date)};
  Report::Table table{.caption = "Every run against " + v.arms[0].name, .headers = headers()};
  const auto add = [&](const std::vector<std::string>& row) {
    std::vector<Report::Cell> styled;
    for (size_t i = 0; i < row.size(); ++i) styled.push_back({row[i], i == 0 ? Style::kText : Style::kNumber});
    table.rows.push_back(std::move(styled));
  };
  for (size_t i = 0; i < v.arms.size(); ++i) add(cells(v, i));
  add(floor_cells(v));
  report.tables.push_back(std::move(table));
  for (size_t k = 0; k < v.cases.size(); ++k) {
    Report::Section section{.heading = case_text(v.cases[k])};
    for (size_t i = 0; i < v.arms.size(); ++i) {
      const VerifyPicture& p = v.arms[i].pictures[k];
      Report::Figure figure{.caption = v.arms[i].name, .image = encode_image(p.image, ImageFormat::kPng)};
      figure.lines.push_back(number_text(p.timings.encode_s + p.timings.denoise_s + p.timings.decode_s, 3) + " s");
      if (i > 0) {
        const VerifyScore& s = v.summaries[i].scores[k];
        figure.lines.push_back(fmt::format("PSNR {} dB, SSIM {}", number_text(s.psnr, 1), number_text(s.ssim, 4)));
        figure.lines.push_back(
            fmt::format("FLIP {}, latent error {}", number_text(s.flip, 4), number_text(s.latent, 4)));
      }
      section.figures.push_back(std::move(figure));
    }
    report.sections.push_back(std::move(section));
  }
  report.notes.push_back(
      "Same seed, solver, steps and size in every run; each run is freed before the next one loads. Medians; in "
      "brackets the speed-up over " +
      v.arms[0].name + ".");
  report.notes.push_back(
      "Block weights: the weights that the run quantized, packed, of what they are as stored. Noise floor: " +
      v.floor_name + ", the difference that arithmetic alone makes.");
  for (const std::string& failure : v.failures) report.notes.push_back("Gate not met: " + failure);
  return html_report(report);
}

Image verify_sheet(const Verification& v) {
  SheetOptions options{.title = fmt::format("{}: {}x{}, {} steps", v.model, v.width, v.height, v.steps)};
  for (const VerifyArm& arm : v.arms) options.columns.push_back(arm.name);
  std::vector<SheetRow> rows;
  for (size_t k = 0; k < v.cases.size(); ++k) {
    SheetRow row{.caption = v.cases[k].prompt};
    for (size_t i = 0; i < v.arms.size(); ++i) {
      const VerifyPicture& p = v.arms[i].pictures[k];
      std::string caption = number_text(p.timings.encode_s + p.timings.denoise_s + p.timings.decode_s, 2) + " s";
      if (i > 0) caption += ", " + number_text(v.summaries[i].scores[k].psnr, 1) + " dB";
      row.cells.push_back({p.image, caption});
    }
    rows.push_back(std::move(row));
  }
  return contact_sheet(rows, options);
}

}  // namespace omni::cli
