#pragma once
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/clip/clip.h"
#include "models/flux/flux.h"
#include "models/t5/t5.h"
#include "models/vae_kl/vae_kl.h"
#include "omni/engine.h"
#include "pipelines/component_files.h"
#include "pipelines/flow_match.h"
#include "pipelines/pipeline.h"
#include "tensor/torch_random.h"
#include "text/tokenizer.h"

namespace omni {

// What a FLUX pipeline folder says, before any weight is touched.
struct FluxPipelineConfig {
  std::filesystem::path folder;
  ComponentFiles files;  // weights from elsewhere
  ClipConfig clip;
  T5Config t5;
  FluxConfig flux;
  VaeConfig vae;
  FlowMatch solver;
  int default_size = 1024;
  static FluxPipelineConfig load(const std::filesystem::path& folder);  // throws Error
};

// A prompt, encoded: [pooled] and [tokens, context] f32.
struct PromptConditioning {
  Tensor pooled, states;
};

// One picture on its way: made by EncodePrompt, moved on by Denoise one step a call, finished by DecodeImage.
struct PictureJob {
  uint64_t request = 0;
  ImageRequest wish;
  int image = 0;  // which of wish.images
  std::vector<float> sigmas;
  std::optional<FluxConditioning> conditioning;
  Tensor latents, velocity;  // [tokens, channels] f32
  int step = 0;
  ImageTimings timings;
  std::optional<TorchGenerator> noise;
};

// Prompt -> picture with a FLUX transformer: the stages encode, denoise, decode over the four components.
class TextToImage final : public Pipeline {
 public:
  static PipelineScope scope();
  // kPlan: layers get no weights and only the ledger is of use.
  TextToImage(const FluxPipelineConfig& config, LoadContext& context, LoadFormat format);

  void submit(uint64_t id, Request request) override;
  bool step(Exec& exec, const EventSink& sink) override;
  std::vector<std::string> unread() const override { return unread_; }

  // The parts, for tests and tools.
  PromptConditioning encode(Exec& exec, const std::string& prompt, int max_sequence_length) const;
  Tensor decode(Exec& exec, const Tensor& tokens, int64_t rows, int64_t cols) const;  // [h, w, 3] f32
  const FluxTransformer& transformer() const { return *transformer_; }
  const VaeEncoder& vae_encoder() const { return *vae_encoder_; }

 private:
  void start(Exec& exec, PictureJob& job) const;
  void denoise(Exec& exec, PictureJob& job) const;
  void finish(Exec& exec, PictureJob& job, const EventSink& sink) const;
  void check(ImageRequest& wish) const;

  FluxPipelineConfig config_;
  std::optional<Tokenizer> clip_tokens_, t5_tokens_;
  std::optional<ClipTextEncoder> clip_;
  std::optional<T5Encoder> t5_;
  std::optional<FluxTransformer> transformer_;
  std::optional<VaeDecoder> vae_;
  std::optional<VaeEncoder> vae_encoder_;
  std::vector<std::string> unread_;
  std::deque<PictureJob> jobs_;
};

}  // namespace omni
