#include "pipelines/text_to_image.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "media/image.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxSide = 8192;
constexpr int kMaxSteps = 1000;
constexpr int64_t kMaxTextTokens = 512;  // FLUX's own window

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

JsonObject component_config(const fs::path& folder, const char* component, const char* file) {
  if (!fs::is_directory(folder / component))
    throw Error((folder / component).string(), "the component is missing", "a folder");
  return JsonObject::load(folder / component / file);
}

// Every component of the index must be of the class that is built for it.
void check_classes(const JsonObject& index) {
  static constexpr std::pair<const char*, const char*> kClasses[] = {{"scheduler", "FlowMatchEulerDiscreteScheduler"},
                                                                     {"text_encoder", "CLIPTextModel"},
                                                                     {"text_encoder_2", "T5EncoderModel"},
                                                                     {"transformer", "FluxTransformer2DModel"},
                                                                     {"vae", "AutoencoderKL"}};
  for (const auto& [component, name] : kClasses) {
    const std::vector<std::string> entry = index.strings(component);
    if (entry.size() != 2) throw Error(index.where() + ": " + component, "is no [library, class]", name);
    if (entry[1] != name) throw Error(index.where() + ": " + component, "is of class '" + entry[1] + "'", name);
  }
}

WeightSource source(const FluxPipelineConfig& config, const char* component, std::vector<NameMap> maps,
                    LoadFormat format, uint64_t seed) {
  if (format == LoadFormat::kDummy) return WeightSource::dummy(component, seed);
  const ComponentPlace place = find_component(config.files, config.folder, component);
  const bool other_flux = place.own_config && component == std::string_view("transformer") &&
                          !(FluxConfig::from_json(place.config) == config.flux);
  if (other_flux)
    throw Error(place.config.where(), "describes another network", "the one of " + config.folder.string());
  return WeightSource(component, open_checkpoint(place.weights), place.config, std::move(maps));
}

// [channels, 2 rows, 2 cols] noise or latents <-> [rows * cols, channels * 4] tokens, features (channel, dy, dx).
template <class Move>
void for_each_packed(int64_t channels, int64_t rows, int64_t cols, Move move) {
  for (int64_t y = 0; y < 2 * rows; ++y) {
    for (int64_t x = 0; x < 2 * cols; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        move((y / 2 * cols + x / 2) * channels * 4 + c * 4 + (y % 2) * 2 + x % 2, c, y, x);
      }
    }
  }
}

void warn_dropped(const char* encoder, int64_t dropped, size_t window) {
  if (dropped == 0) return;
  log_warning("the prompt is " + std::to_string(dropped) + " tokens longer than the " + std::to_string(window) +
              " that " + encoder + " reads: its end was cut off");
}

}  // namespace

FluxPipelineConfig FluxPipelineConfig::load(const fs::path& folder) {
  const JsonObject index = JsonObject::load(folder / "model_index.json");
  const std::string kind = index.string("_class_name");
  if (kind != "FluxPipeline") throw Error(index.where() + ": _class_name", "is '" + kind + "'", "FluxPipeline");
  check_classes(index);
  FluxPipelineConfig c;
  c.folder = folder;
  c.solver = FlowMatch::from_json(component_config(folder, "scheduler", "scheduler_config.json"));
  c.clip = ClipConfig::from_json(component_config(folder, "text_encoder", "config.json"));
  c.t5 = T5Config::from_json(component_config(folder, "text_encoder_2", "config.json"));
  const JsonObject transformer = component_config(folder, "transformer", "config.json");
  c.flux = FluxConfig::from_json(transformer);
  const JsonObject vae = component_config(folder, "vae", "config.json");
  c.vae = VaeConfig::from_json(vae);
  c.default_size = static_cast<int>(vae.has("sample_size") ? vae.size("sample_size", 16, kMaxSide) : 1024);
  const auto agree = [&](const char* key, int64_t got, int64_t want, const char* what) {
    if (got != want)
      throw Error(transformer.where() + ": " + key, "is " + std::to_string(got),
                  std::string(what) + ", " + std::to_string(want));
  };
  agree("in_channels", c.flux.in_channels, 4 * c.vae.latent_channels, "4 x the VAE's latent_channels");
  agree("out_channels", c.flux.out_channels, c.flux.in_channels, "in_channels");
  agree("joint_attention_dim", c.flux.context, c.t5.width, "text_encoder_2's d_model");
  agree("pooled_projection_dim", c.flux.pooled, c.clip.width, "text_encoder's hidden_size");
  return c;
}

PipelineScope TextToImage::scope() {
  return pipeline_scope(PipelineKind::kDiffusion, {"text_encoder", "text_encoder_2", "transformer", "vae"});
}

TextToImage::TextToImage(const FluxPipelineConfig& config, LoadContext& context, LoadFormat format) : config_(config) {
  if (context.mode == LoadMode::kLoad) {
    clip_tokens_ = Tokenizer::load(config.folder / "tokenizer");
    t5_tokens_ = Tokenizer::load(config.folder / "tokenizer_2");
  }
  const auto done = [&](const WeightSource& s) {
    for (const std::string& name : s.unread()) unread_.push_back(s.component() + "." + name);
  };
  {
    WeightSource s = source(config, "text_encoder", ClipTextEncoder::names(), format, 1);
    clip_.emplace(Scope(context, s), config.clip);
    done(s);
  }
  {
    WeightSource s = source(config, "text_encoder_2", T5Encoder::names(), format, 2);
    t5_.emplace(Scope(context, s), config.t5);
    done(s);
  }
  {
    WeightSource s = source(config, "transformer", FluxTransformer::names(config.flux), format, 3);
    transformer_.emplace(Scope(context, s), config.flux);
    done(s);
  }
  {
    WeightSource s = source(config, "vae", vae_kl_names(), format, 4);
    vae_.emplace(Scope(context, s), config.vae);
    vae_encoder_.emplace(Scope(context, s), config.vae);
    done(s);
  }
}

PromptConditioning TextToImage::encode(Exec& e, const std::string& prompt, int max_sequence_length) const {
  const int64_t clip_window = std::min(config_.clip.positions, clip_tokens_->model_max_tokens());
  const int64_t t5_window =
      max_sequence_length > 0 ? max_sequence_length : std::min(kMaxTextTokens, t5_tokens_->model_max_tokens());
  const Encoded clip = clip_tokens_->encode(prompt, clip_window, PadTo::kWindow);
  const Encoded t5 = t5_tokens_->encode(prompt, t5_window, PadTo::kWindow);
  warn_dropped("CLIP", clip.dropped, clip.ids.size());
  warn_dropped("T5", t5.dropped, t5.ids.size());
  return {.pooled = (*clip_)(e, clip.ids), .states = (*t5_)(e, t5.ids)};
}

void TextToImage::check(ImageRequest& wish) const {
  if (wish.prompt.empty()) throw usage_error("prompt", "is empty", "a text");
  const int multiple = static_cast<int>(2 * config_.vae.factor());
  if (wish.width == 0) wish.width = config_.default_size;
  if (wish.height == 0) wish.height = config_.default_size;
  for (const auto& [name, side] : {std::pair{"width", wish.width}, std::pair{"height", wish.height}}) {
    if (side < multiple || side > kMaxSide || side % multiple != 0) {
      throw usage_error(name, "is " + std::to_string(side),
                        "a multiple of " + std::to_string(multiple) + " from " + std::to_string(multiple) + " to " +
                            std::to_string(kMaxSide));
    }
  }
  if (wish.steps == 0) wish.steps = config_.flux.guidance ? 20 : 4;
  if (wish.steps < 1 || wish.steps > kMaxSteps) {
    throw usage_error("steps", "is " + std::to_string(wish.steps), "1 to " + std::to_string(kMaxSteps));
  }
  if (wish.max_sequence_length < 0 || wish.max_sequence_length > kMaxTextTokens) {
    throw usage_error("max_sequence_length", "is " + std::to_string(wish.max_sequence_length),
                      "1 to " + std::to_string(kMaxTextTokens));
  }
  if (!wish.guidance) wish.guidance = 3.5f;
  if (!(*wish.guidance >= 0 && *wish.guidance <= 1000))
    throw usage_error("guidance", "is " + std::to_string(*wish.guidance), "0 to 1000");
  if (wish.images < 1 || wish.images > 1000) throw usage_error("n", "is " + std::to_string(wish.images), "1 to 1000");
  const auto values = static_cast<size_t>(config_.vae.latent_channels * (wish.width / config_.vae.factor()) *
                                          (wish.height / config_.vae.factor()));
  if (!wish.noise.empty() && wish.noise.size() != values) {
    throw usage_error("noise", "has " + std::to_string(wish.noise.size()) + " values", std::to_string(values));
  }
}

void TextToImage::submit(uint64_t id, Request request) {
  auto* wish = std::get_if<ImageRequest>(&request);
  if (wish == nullptr)
    throw usage_error("request", "asks for text, and this model paints pictures", "an image request");
  PictureJob job;
  job.request = id;
  job.wish = std::move(*wish);
  jobs_.push_back(std::move(job));
}

void TextToImage::start(Exec& e, PictureJob& job) const {
  const auto begin = std::chrono::steady_clock::now();
  const int64_t rows = job.wish.height / (2 * config_.vae.factor()), cols = job.wish.width / (2 * config_.vae.factor());
  const int64_t channels = config_.vae.latent_channels;
  if (!job.conditioning) {
    job.sigmas = config_.solver.sigmas(job.wish.steps, rows * cols);
    const PromptConditioning prompt = encode(e, job.wish.prompt, job.wish.max_sequence_length);
    job.conditioning =
        transformer_->prepare(e, prompt.pooled, prompt.states, std::span(job.sigmas).first(job.sigmas.size() - 1),
                              *job.wish.guidance, rows, cols);
    job.noise.emplace(job.wish.seed);
  }
  std::vector<float> noise = job.wish.noise;
  if (noise.empty()) {
    noise.resize(static_cast<size_t>(channels * 4 * rows * cols));
    job.noise->randn(noise);
  }
  job.latents = Tensor(DType::kF32, Shape{rows * cols, channels * 4});
  job.velocity = Tensor(DType::kF32, Shape{rows * cols, channels * 4});
  for_each_packed(channels, rows, cols, [&](int64_t token, int64_t c, int64_t y, int64_t x) {
    job.latents.f32()[token] = noise[static_cast<size_t>((c * 2 * rows + y) * 2 * cols + x)];
  });
  job.timings.encode_s += seconds_since(begin);
}

void TextToImage::denoise(Exec& e, PictureJob& job) const {
  const auto begin = std::chrono::steady_clock::now();
  const auto i = static_cast<size_t>(job.step);
  e.step = job.step;
  (*transformer_)(e, *job.conditioning, job.step, job.latents, job.velocity);
  euler_step(job.sigmas[i], job.sigmas[i + 1], job.velocity, job.latents);
  if (e.tap != nullptr) e.record("latents", job.latents);
  e.step = -1;
  job.step += 1;
  job.timings.denoise_s += seconds_since(begin);
}

Tensor TextToImage::decode(Exec& e, const Tensor& tokens, int64_t rows, int64_t cols) const {
  const int64_t channels = config_.vae.latent_channels;
  Tensor latents(DType::kF32, Shape{2 * rows, 2 * cols, channels});
  for_each_packed(channels, rows, cols, [&](int64_t token, int64_t c, int64_t y, int64_t x) {
    latents.f32()[(y * 2 * cols + x) * channels + c] = tokens.f32()[token];
  });
  return (*vae_)(e, latents);
}

void TextToImage::finish(Exec& e, PictureJob& job, const EventSink& sink) const {
  const auto begin = std::chrono::steady_clock::now();
  const int64_t side = 2 * config_.vae.factor();
  const Tensor pixels = decode(e, job.latents, job.wish.height / side, job.wish.width / side);
  const Image image =
      image_from_float({pixels.f32(), static_cast<size_t>(pixels.shape().count())}, job.wish.width, job.wish.height);
  job.timings.decode_s += seconds_since(begin);
  sink(ImageDone{job.request, job.image, image.width, image.height, image.rgb, job.timings});
}

bool TextToImage::step(Exec& e, const EventSink& sink) {
  if (jobs_.empty()) return false;
  PictureJob& job = jobs_.front();
  try {
    if (!job.conditioning) check(job.wish);
    if (job.latents.empty()) {
      start(e, job);
    } else if (job.step < job.wish.steps) {
      denoise(e, job);
      sink(Progress{job.request, job.image, job.step, job.wish.steps});
    } else {
      finish(e, job, sink);
      job.image += 1;
      job.step = 0;
      job.timings = {};
      job.latents = {};
      if (job.image == job.wish.images) {
        const uint64_t id = job.request;
        jobs_.pop_front();
        sink(Finished{id});
      }
    }
  } catch (const Error& error) {
    const Failed failed{job.request, error.what(), error.fault() == Fault::kUsage};
    e.step = -1;
    jobs_.pop_front();
    sink(failed);
  }
  return true;
}

}  // namespace omni
