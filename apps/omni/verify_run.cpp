#include "verify_run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "load_engine.h"
#include "media/quality.h"
#include "tensor/exec.h"
#include "terminal.h"

namespace omni::cli {
namespace {

// Keeps the latents after every step of the picture being painted.
class LatentTap final : public Tap {
 public:
  void record(std::string_view path, int64_t, const Tensor& tensor) override {
    if (path == "latents") steps.emplace_back(tensor.f32(), tensor.f32() + tensor.shape().count());
  }
  std::vector<std::vector<float>> steps;
};

double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    norm += static_cast<double>(b[i]) * b[i];
  }
  return norm == 0 ? 0 : std::sqrt(difference / norm);
}

VerifyPicture paint(Engine& engine, const ImageRequest& request) {
  LatentTap tap;
  engine.set_tap(&tap);
  VerifyPicture picture;
  std::optional<Failed> failure;
  engine.submit(request);
  engine.run([&](const Event& event) {
    if (const auto* done = std::get_if<ImageDone>(&event)) {
      picture.image = Image{done->width, done->height, done->rgb};
      picture.timings = done->timings;
    }
    if (const auto* failed = std::get_if<Failed>(&event)) failure = *failed;
  });
  engine.set_tap(nullptr);
  if (failure)
    throw Error("'" + request.prompt + "'", failure->message, "", failure->usage ? Fault::kUsage : Fault::kJob);
  picture.latents = std::move(tap.steps);
  return picture;
}

double total(const ImageTimings& t) {
  return t.encode_s + t.denoise_s + t.decode_s;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

}  // namespace

double VerifyArm::seconds() const {
  std::vector<double> all;
  for (const VerifyPicture& p : pictures) all.push_back(total(p.timings));
  return median(std::move(all));
}

double VerifyArm::step_seconds(int steps) const {
  std::vector<double> all;
  for (const VerifyPicture& p : pictures) all.push_back(p.timings.denoise_s / steps);
  return median(std::move(all));
}

VerifyArm run_arm(const std::string& name, const ModelOptions& options, const ImageRequest& like,
                  const std::vector<VerifyCase>& cases, bool quiet) {
  VerifyArm arm{.name = name};
  reset_peak_resident();
  const std::unique_ptr<Engine> loaded = load_engine(options, quiet);
  Engine& engine = *loaded;
  arm.load_s = engine.load_seconds();
  arm.weight_bytes = engine.ledger().packed_bytes();
  for (const LedgerRow& row : engine.ledger().rows) {
    arm.fallbacks += row.fallback ? 1 : 0;
    if (!row.quantized) continue;
    arm.quantized += 1;
    arm.quantized_bytes += row.bytes_packed;
    arm.quantized_before += row.bytes_stored;
  }
  ImageRequest request = like;
  request.prompt = cases.front().prompt;
  request.steps = 1;
  paint(engine, request);  // warm: the first picture of an arm must not be timed with its page faults
  request.steps = like.steps;
  ProgressBar bar(name, quiet);
  for (size_t i = 0; i < cases.size(); ++i) {
    request.prompt = cases[i].prompt;
    request.seed = cases[i].seed;
    arm.pictures.push_back(paint(engine, request));
    bar.update(static_cast<int64_t>(i + 1), static_cast<int64_t>(cases.size()));
  }
  arm.peak_bytes = peak_resident_bytes();
  bar.finish(name + ": " + std::to_string(cases.size()) + " pictures, " + number_text(arm.seconds(), 3) + " s each");
  return arm;
}

VerifyScore score(const VerifyPicture& baseline, const VerifyPicture& test) {
  VerifyScore s{.psnr = psnr(test.image, baseline.image),
                .ssim = ssim(test.image, baseline.image),
                .flip = flip(baseline.image, test.image)};
  double before = 0, largest = -1;
  for (size_t step = 0; step < std::min(baseline.latents.size(), test.latents.size()); ++step) {
    const double now = relative_distance(test.latents[step], baseline.latents[step]);
    if (now - before > largest) {
      largest = now - before;
      s.worst_step = static_cast<int>(step) + 1;
    }
    before = now;
  }
  s.latent = before;
  return s;
}

VerifySummary summarize(const VerifyArm& baseline, const VerifyArm& test) {
  VerifySummary sum{.psnr_min = std::numeric_limits<double>::infinity(), .ssim_min = 1};
  for (size_t i = 0; i < baseline.pictures.size(); ++i) {
    const VerifyScore s = score(baseline.pictures[i], test.pictures[i]);
    sum.psnr_min = std::min(sum.psnr_min, s.psnr);
    sum.psnr_max = std::max(sum.psnr_max, s.psnr);
    sum.psnr_mean += s.psnr / static_cast<double>(baseline.pictures.size());
    sum.ssim_min = std::min(sum.ssim_min, s.ssim);
    sum.ssim_mean += s.ssim / static_cast<double>(baseline.pictures.size());
    sum.flip_max = std::max(sum.flip_max, s.flip);
    sum.latent_max = std::max(sum.latent_max, s.latent);
    sum.scores.push_back(s);
  }
  return sum;
}

}  // namespace omni::cli
