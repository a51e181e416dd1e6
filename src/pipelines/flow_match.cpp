#include "pipelines/flow_match.h"

#include <cassert>
#include <cmath>

#include "base/error.h"

namespace omni {

FlowMatch FlowMatch::from_json(const JsonObject& config) {
  FlowMatch f;
  const std::string kind = config.string_or("_class_name", "FlowMatchEulerDiscreteScheduler");
  if (kind != "FlowMatchEulerDiscreteScheduler") {
    throw Error(config.where() + ": _class_name", "is '" + kind + "'", "FlowMatchEulerDiscreteScheduler");
  }
  for (const char* key :
       {"invert_sigmas", "stochastic_sampling", "use_beta_sigmas", "use_exponential_sigmas", "use_karras_sigmas"}) {
    if (config.boolean_or(key, false))
      throw Error(config.where() + ": " + key, "is true, which this solver does not do", "false");
  }
  if (config.has("shift_terminal"))
    throw Error(config.where() + ": shift_terminal", "is set, which this solver does not do", "null");
  const std::string type = config.string_or("time_shift_type", "exponential");
  if (type != "exponential") throw Error(config.where() + ": time_shift_type", "is '" + type + "'", "exponential");
  f.train_steps = config.has("num_train_timesteps") ? config.size("num_train_timesteps", 1, 1000000) : 1000;
  f.shift = static_cast<float>(config.number_or("shift", 1.0));
  f.dynamic_shift = config.boolean_or("use_dynamic_shifting", false);
  f.base_shift = config.number_or("base_shift", 0.5);
  f.max_shift = config.number_or("max_shift", 1.15);
  f.base_tokens = config.integer_or("base_image_seq_len", 256);
  f.max_tokens = config.integer_or("max_image_seq_len", 4096);
  if (f.max_tokens == f.base_tokens)
    throw Error(config.where() + ": max_image_seq_len", "equals base_image_seq_len", "a larger number");
  return f;
}

std::vector<float> FlowMatch::sigmas(int64_t steps, int64_t image_tokens) const {
  assert(steps > 0);
  const double slope = (max_shift - base_shift) / static_cast<double>(max_tokens - base_tokens);
  const double mu = static_cast<double>(image_tokens) * slope + (base_shift - slope * static_cast<double>(base_tokens));
  std::vector<float> out;
  for (int64_t i = 0; i < steps; ++i) {
    // numpy.linspace(1, 1 / steps, steps)
    const double end = 1.0 / static_cast<double>(steps);
    const double sigma =
        steps == 1 ? 1.0 : 1.0 + static_cast<double>(i) * ((end - 1.0) / static_cast<double>(steps - 1));
    const double shifted =
        dynamic_shift ? std::exp(mu) / (std::exp(mu) + (1.0 / sigma - 1.0))
                      : static_cast<double>(shift) * sigma / (1.0 + (static_cast<double>(shift) - 1.0) * sigma);
    out.push_back(static_cast<float>(shifted));
  }
  out.push_back(0.0f);
  return out;
}

void euler_step(float sigma, float sigma_next, const Tensor& velocity, Tensor& latents) {
  assert(velocity.shape().count() == latents.shape().count());
  const float step = sigma_next - sigma;
  for (int64_t i = 0; i < latents.shape().count(); ++i) latents.f32()[i] += step * velocity.f32()[i];
}

}  // namespace omni
