#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common_flags.h"
#include "media/image.h"

namespace omni::cli {

struct VerifyCase {
  std::string prompt;
  uint64_t seed = 0;
};

struct VerifyPicture {
  Image image;
  std::vector<std::vector<float>> latents;  // after each step
  ImageTimings timings;
};

// One loaded model and what it painted: the float run, the noise floor's run, or a quantized run.
struct VerifyArm {
  std::string name;  // "bf16", "f32", "int8" ...
  std::vector<VerifyPicture> pictures;
  double load_s = 0;
  int64_t weight_bytes = 0;      // packed, all components
  int64_t quantized_bytes = 0;   // packed, the weights the wish changed; 0 for float arms
  int64_t quantized_before = 0;  // the same weights as stored
  int64_t quantized = 0, fallbacks = 0;
  int64_t peak_bytes = 0;  // resident, of this arm alone where the system can say
  double seconds() const;  // median picture
  double step_seconds(int steps) const;
};

// Loads a model, paints every case and frees it again. Throws Error when a picture fails.
VerifyArm run_arm(const std::string& name, const ModelOptions& options, const ImageRequest& like,
                  const std::vector<VerifyCase>& cases, bool quiet);

// How near one arm's picture is to the baseline's.
struct VerifyScore {
  double psnr = 0, ssim = 0, flip = 0;
  double latent = 0;   // |a - b| / |b| of the last latents
  int worst_step = 0;  // the step (1 is the first) after which the latent error grew most
};
VerifyScore score(const VerifyPicture& baseline, const VerifyPicture& test);

struct VerifySummary {
  double psnr_min = 0, psnr_mean = 0, psnr_max = 0, ssim_min = 0, ssim_mean = 0, flip_max = 0, latent_max = 0;
  std::vector<VerifyScore> scores;
};
VerifySummary summarize(const VerifyArm& baseline, const VerifyArm& test);

}  // namespace omni::cli
