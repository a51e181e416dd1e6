#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"
#include "tensor/exec.h"

namespace omni {

// Flow-match Euler (diffusers' FlowMatchEulerDiscreteScheduler as FLUX calls it). All in f32: rounding timesteps or
// latents costs 20 dB.
struct FlowMatch {
  int64_t train_steps = 1000;
  float shift = 3.0f;
  bool dynamic_shift = true;
  double base_shift = 0.5, max_shift = 1.15;
  int64_t base_tokens = 256, max_tokens = 4096;
  static FlowMatch from_json(const JsonObject& config);  // scheduler/scheduler_config.json; throws Error

  // steps + 1 sigmas from 1 (shifted) down to 0 for a picture of image_tokens.
  std::vector<float> sigmas(int64_t steps, int64_t image_tokens) const;
};

// latents += (sigma_next - sigma) * velocity. Both [tokens, channels] f32.
void euler_step(float sigma, float sigma_next, const Tensor& velocity, Tensor& latents);

}  // namespace omni
