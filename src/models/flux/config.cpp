#include "base/error.h"
#include "models/flux/flux.h"

namespace omni {

FluxConfig FluxConfig::from_json(const JsonObject& config) {
  FluxConfig c;
  const std::string kind = config.string_or("_class_name", "FluxTransformer2DModel");
  if (kind != "FluxTransformer2DModel")
    throw Error(config.where() + ": _class_name", "is '" + kind + "'", "FluxTransformer2DModel");
  c.heads = config.size("num_attention_heads", 1, 1024);
  c.head_dim = config.size("attention_head_dim", 8, 512);
  c.width = c.heads * c.head_dim;
  c.double_blocks = config.size("num_layers", 0, 1024);
  c.single_blocks = config.size("num_single_layers", 0, 1024);
  c.in_channels = config.size("in_channels", 1, 1 << 16);
  c.out_channels = config.has("out_channels") ? config.size("out_channels", 1, 1 << 16) : c.in_channels;
  c.context = config.size("joint_attention_dim", 1, 1 << 18);
  c.pooled = config.size("pooled_projection_dim", 1, 1 << 18);
  c.guidance = config.boolean_or("guidance_embeds", false);
  if (config.integer_or("patch_size", 1) != 1) {
    throw Error(config.where() + ": patch_size", "is " + std::to_string(config.integer("patch_size")), "1");
  }
  const std::string key = config.where() + ": axes_dims_rope";
  const std::vector<int64_t> axes =
      config.has("axes_dims_rope") ? config.integers("axes_dims_rope") : std::vector<int64_t>{16, 56, 56};
  if (axes.size() != 3) throw Error(key, "has " + std::to_string(axes.size()) + " axes", "3");
  int64_t sum = 0;
  for (size_t i = 0; i < 3; ++i) {
    if (axes[i] < 2 || axes[i] % 2 != 0 || axes[i] > c.head_dim)
      throw Error(key, "has an axis of " + std::to_string(axes[i]), "even numbers");
    c.axes[i] = axes[i];
    sum += axes[i];
  }
  if (sum != c.head_dim) {
    throw Error(key, "sums to " + std::to_string(sum), "attention_head_dim, which is " + std::to_string(c.head_dim));
  }
  if (c.head_dim % 8 != 0)
    throw Error(config.where() + ": attention_head_dim", "is " + std::to_string(c.head_dim), "a multiple of 8");
  return c;
}

}  // namespace omni
