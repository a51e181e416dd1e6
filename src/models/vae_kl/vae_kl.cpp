#include "models/vae_kl/vae_kl.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "ops/ops.h"

namespace omni {
namespace {

constexpr float kEps = 1e-6f;  // of every group norm

// Two places in scratch memory between which the image moves whenever its shape changes: no more than two images are
// kept.
class Places {
 public:
  // For an image that starts as `first` and then walks through the blocks.
  Places(Exec& e, Shape first, const std::vector<VaeBlock>& blocks) {
    int64_t room[2] = {0, first.count()};
    int at = 1;
    const auto grow = [&](const Shape& shape) {
      at ^= 1;
      room[at] = std::max(room[at], shape.count());
      first = shape;
    };
    for (const VaeBlock& block : blocks) {
      for (const VaeResnet& r : block.resnets) {
        if (r.shortcut) grow(Shape{first[0], first[1], r.conv2.c_out()});
      }
      if (block.resize) grow(block.resize->output_shape(first[0], first[1]));
    }
    for (int i : {0, 1}) places_[i] = e.scratch.tensor(DType::kF32, Shape{room[i], 1});
  }

  // The place that does not hold the image, for its next shape.
  Tensor next(const Shape& shape) {
    now_ ^= 1;
    return places_[now_].row_range(0, shape.count()).reshaped(shape);
  }

 private:
  Tensor places_[2];
  int now_ = 0;
};

struct Net {
  Exec& e;
  int groups;
  Places& places;

  Tensor normed(const Tensor& x, const VaeNorm& norm, ops::Silu silu) const {
    return ops::group_norm(e, x, groups, norm.gain.f32(), norm.shift.f32(), kEps, silu);
  }

  // x + conv2(silu(norm2(conv1(silu(norm1(x)))))), in place; in the other place when the channels change.
  Tensor resnet(const VaeResnet& r, Tensor x) const {
    const Scratch::Mark mark(e.scratch);
    Tensor out = r.shortcut ? convolved(*r.shortcut, x) : x;
    Tensor middle = e.scratch.tensor(DType::kF32, r.conv1.output_shape(x.shape()[0], x.shape()[1]));
    {
      const Scratch::Mark input(e.scratch);
      r.conv1.into(e, normed(x, r.norm1, ops::Silu::kYes), nullptr, middle);
    }
    r.conv2.into(e, normed(middle, r.norm2, ops::Silu::kYes), &out, out);
    return out;
  }

  // conv(x) in the other place, the padded copy of x given back at once.
  Tensor convolved(const Conv& conv, const Tensor& x) const {
    Tensor out = places.next(conv.output_shape(x.shape()[0], x.shape()[1]));
    const Scratch::Mark mark(e.scratch);
    conv.into(e, ops::pad_image(e, x), nullptr, out);
    return out;
  }

  void attention(const VaeAttention& a, Tensor& x) const {
    const Scratch::Mark mark(e.scratch);
    const int64_t h = x.shape()[0], w = x.shape()[1], c = x.shape()[2], n = h * w;
    const Tensor padded = normed(x, a.norm, ops::Silu::kNo);
    Tensor pixels = e.scratch.tensor(padded.dtype(), Shape{n, c});  // the interior, dense
    assert(padded.shape()[2] == c);                                 // heads are multiples of 8 channels
    const int64_t line = storage_bytes(padded.dtype(), w * c), pixel = storage_bytes(padded.dtype(), c);
    e.pool->parallel_for(h, [&](int64_t y, int) {
      std::copy_n(padded.raw() + (y + 1) * (line + 2 * pixel) + pixel, line, pixels.raw() + y * line);
    });
    const Tensor qkv = a.qkv(e, ops::to(e, pixels, a.qkv.wants()), e.compute);
    Tensor q = e.scratch.tensor(e.compute, Shape{1, n, c}), k = e.scratch.tensor(e.compute, Shape{1, n, c});
    Tensor v = e.scratch.tensor(e.compute, Shape{1, n, c}), attended = e.scratch.tensor(e.compute, Shape{n, c});
    ops::qkv(e, QkvArgs{.x = &qkv, .heads = 1, .head_dim = c, .q = &q, .k = &k, .v = &v});
    ops::attention(
        e,
        AttentionArgs{.q = &q, .k = &k, .v = &v, .scale = 1.0f / std::sqrt(static_cast<float>(c)), .out = &attended});
    Tensor y = x.reshaped(Shape{n, c});
    a.out.add_to(e, ops::to(e, attended, a.out.wants()), nullptr, y);
  }

  Tensor mid(const VaeMid& m, Tensor x) const {
    x = resnet(m.first, x);
    if (m.attention) attention(*m.attention, x);
    return resnet(m.second, x);
  }
};

// The first channels of an image, in memory of its own.
Tensor owned(Exec& e, const Tensor& scratch, int64_t channels) {
  const int64_t h = scratch.shape()[0], w = scratch.shape()[1], c = scratch.shape()[2];
  Tensor out(DType::kF32, Shape{h, w, channels});
  e.pool->parallel_for(h, [&](int64_t y, int) {
    for (int64_t i = y * w; i < (y + 1) * w; ++i)
      std::copy_n(scratch.f32() + i * c, channels, out.f32() + i * channels);
  });
  return out;
}

}  // namespace

VaeConfig VaeConfig::from_json(const JsonObject& config) {
  VaeConfig c;
  const std::string kind = config.string_or("_class_name", "AutoencoderKL");
  if (kind != "AutoencoderKL") throw Error(config.where() + ": _class_name", "is '" + kind + "'", "AutoencoderKL");
  c.channels = config.size("in_channels", 1, 16);
  if (config.integer_or("out_channels", c.channels) != c.channels) {
    throw Error(config.where() + ": out_channels", "differs from in_channels", std::to_string(c.channels));
  }
  c.latent_channels = config.size("latent_channels", 1, 1024);
  c.layers_per_block = config.size("layers_per_block", 1, 64);
  c.groups = config.size("norm_num_groups", 1, 1024);
  c.blocks = config.integers("block_out_channels");
  if (c.blocks.empty() || c.blocks.size() > 8) {
    throw Error(config.where() + ": block_out_channels", "has " + std::to_string(c.blocks.size()) + " entries",
                "1 to 8");
  }
  for (const int64_t width : c.blocks) {
    if (width < 1 || width > 4096 || width % c.groups != 0) {
      throw Error(config.where() + ": block_out_channels", "has " + std::to_string(width),
                  "multiples of norm_num_groups (" + std::to_string(c.groups) + ") up to 4096");
    }
  }
  c.scaling = static_cast<float>(config.number_or("scaling_factor", 0.18215));
  c.shift = static_cast<float>(config.number_or("shift_factor", 0.0));
  if (!(std::fabs(c.scaling) > 0)) throw Error(config.where() + ": scaling_factor", "is 0", "a number that is not 0");
  c.quant_conv = config.boolean_or("use_quant_conv", true);
  c.post_quant_conv = config.boolean_or("use_post_quant_conv", true);
  c.mid_attention = config.boolean_or("mid_block_add_attention", true);
  if (c.mid_attention && (c.blocks.back() % 8 != 0 || c.blocks.back() > 512)) {
    throw Error(config.where() + ": block_out_channels", "ends with " + std::to_string(c.blocks.back()),
                "a multiple of 8 up to 512, the head of the attention in the middle");
  }
  const std::string act = config.string_or("act_fn", "silu");
  if (act != "silu") throw Error(config.where() + ": act_fn", "is '" + act + "'", "silu");
  return c;
}

VaeNorm::VaeNorm(const Scope& s, std::string_view name, int64_t channels)
    : gain(s.vector(std::string(name) + ".weight", channels)), shift(s.vector(std::string(name) + ".bias", channels)) {}

VaeResnet::VaeResnet(const Scope& s, int64_t c_in, int64_t c_out)
    : norm1(s, "norm1", c_in),
      norm2(s, "norm2", c_out),
      conv1(s.conv("conv1", c_in, c_out, 3)),
      conv2(s.conv("conv2", c_out, c_out, 3)) {
  if (c_in != c_out) shortcut = s.conv("conv_shortcut", c_in, c_out, 1);
}

VaeAttention::VaeAttention(const Scope& s, int64_t c)
    : norm(s, "group_norm", c),
      qkv(s.merged_linear({"to_q", "to_k", "to_v"}, {c, c, c}, c, Bias::kYes)),
      out(s.linear("to_out.0", c, c, Bias::kYes)) {}

VaeMid::VaeMid(const Scope& s, int64_t c, bool with_attention)
    : first(s / "resnets" / "0", c, c), second(s / "resnets" / "1", c, c) {
  if (with_attention) attention.emplace(s / "attentions" / "0", c);
}

VaeDecoder::VaeDecoder(const Scope& root, const VaeConfig& c)
    : config_(c),
      path_(root.path()),
      in_((root / "decoder").conv("conv_in", c.latent_channels, c.blocks.back(), 3)),
      mid_(root / "decoder" / "mid_block", c.blocks.back(), c.mid_attention),
      norm_out_(root / "decoder", "conv_norm_out", c.blocks.front()),
      out_((root / "decoder").conv("conv_out", c.blocks.front(), c.channels, 3)) {
  if (c.post_quant_conv) post_quant_ = root.conv("post_quant_conv", c.latent_channels, c.latent_channels, 1);
  int64_t width = c.blocks.back();
  for (size_t i = 0; i < c.blocks.size(); ++i) {
    const Scope s = root / "decoder" / "up_blocks" / static_cast<int64_t>(i);
    const int64_t out = c.blocks[c.blocks.size() - 1 - i];
    VaeBlock block;
    for (int64_t layer = 0; layer <= c.layers_per_block; ++layer) {
      block.resnets.emplace_back(s / "resnets" / layer, layer == 0 ? width : out, out);
    }
    if (i + 1 < c.blocks.size()) block.resize = (s / "upsamplers" / "0").upsample_conv("conv", out, out);
    blocks_.push_back(std::move(block));
    width = out;
  }
}

Tensor VaeDecoder::operator()(Exec& e, const Tensor& latents) const {
  assert(latents.shape().rank() == 3 && latents.shape()[2] == config_.latent_channels);
  const Scratch::Mark mark(e.scratch);
  Places places(e, in_.output_shape(latents.shape()[0], latents.shape()[1]), blocks_);
  const Net net{e, static_cast<int>(config_.groups), places};
  Tensor x = e.scratch.tensor(DType::kF32, latents.shape());
  for (int64_t i = 0; i < latents.shape().count(); ++i) x.f32()[i] = latents.f32()[i] / config_.scaling + config_.shift;
  if (post_quant_) x = (*post_quant_)(e, ops::pad_image(e, x));
  x = net.mid(mid_, net.convolved(in_, x));
  for (const VaeBlock& block : blocks_) {
    for (const VaeResnet& resnet : block.resnets) x = net.resnet(resnet, x);
    if (block.resize) x = net.convolved(*block.resize, x);
  }
  const Tensor image = owned(e, out_(e, net.normed(x, norm_out_, ops::Silu::kYes)), config_.channels);
  if (e.tap != nullptr) e.record(path_ + ".decoded", image);
  return image;
}

VaeEncoder::VaeEncoder(const Scope& root, const VaeConfig& c)
    : config_(c),
      in_((root / "encoder").conv("conv_in", c.channels, c.blocks.front(), 3)),
      mid_(root / "encoder" / "mid_block", c.blocks.back(), c.mid_attention),
      norm_out_(root / "encoder", "conv_norm_out", c.blocks.back()),
      out_((root / "encoder").conv("conv_out", c.blocks.back(), 2 * c.latent_channels, 3)) {
  if (c.quant_conv) quant_ = root.conv("quant_conv", 2 * c.latent_channels, 2 * c.latent_channels, 1);
  int64_t width = c.blocks.front();
  for (size_t i = 0; i < c.blocks.size(); ++i) {
    const Scope s = root / "encoder" / "down_blocks" / static_cast<int64_t>(i);
    VaeBlock block;
    for (int64_t layer = 0; layer < c.layers_per_block; ++layer) {
      block.resnets.emplace_back(s / "resnets" / layer, layer == 0 ? width : c.blocks[i], c.blocks[i]);
    }
    width = c.blocks[i];
    if (i + 1 < c.blocks.size()) block.resize = (s / "downsamplers" / "0").conv("conv", width, width, 3, 2);
    blocks_.push_back(std::move(block));
  }
}

Tensor VaeEncoder::operator()(Exec& e, const Tensor& image) const {
  assert(image.shape().rank() == 3 && image.shape()[0] % config_.factor() == 0 &&
         image.shape()[1] % config_.factor() == 0);
  const Scratch::Mark mark(e.scratch);
  Places places(e, in_.output_shape(image.shape()[0], image.shape()[1]), blocks_);
  const Net net{e, static_cast<int>(config_.groups), places};
  Tensor x = net.convolved(in_, image);
  for (const VaeBlock& block : blocks_) {
    for (const VaeResnet& resnet : block.resnets) x = net.resnet(resnet, x);
    if (block.resize) x = net.convolved(*block.resize, x);
  }
  x = out_(e, net.normed(net.mid(mid_, x), norm_out_, ops::Silu::kYes));
  if (quant_) x = (*quant_)(e, ops::pad_image(e, x));
  return owned(e, x, config_.latent_channels);  // channels [mean | log variance]
}

}  // namespace omni
