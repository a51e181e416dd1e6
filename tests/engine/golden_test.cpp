// The whole picture path against what diffusers computed (tests/golden/README.md).
#include <gtest/gtest.h>

#include "engine/picture_support.h"
#include "media/quality.h"
#include "models/clip/clip.h"
#include "nn/scope.h"
#include "pipelines/text_to_image.h"
#include "support/support.h"
#include "text/tokenizer.h"

namespace omni {
namespace {

using testing::compare;
using testing::Recorder;

constexpr double kTolerance = 2e-3;  // of the recorded range, at every point

struct Golden {
  int index;
  ImageRequest request;
};

Golden golden(int index) {
  if (index == 0)
    return {0,
            {.prompt = "a crab on a teal background",
             .width = 256,
             .height = 256,
             .steps = 8,
             .guidance = 3.5f,
             .seed = 42}};
  return {1, {.prompt = "a cat", .width = 320, .height = 192, .steps = 4, .guidance = 3.5f, .seed = 7}};
}

class MiniFluxGolden : public ::testing::TestWithParam<int> {
 protected:
  std::unique_ptr<Checkpoint> file = open_safetensors(testing::golden("mini-flux.safetensors"));
  std::string key(const std::string& name) const { return std::to_string(GetParam()) + "." + name; }
  void expect_near(const Tensor& got, const Tensor& want, const std::string& what) const {
    const auto d = compare(got, want);
    EXPECT_LE(d.over_range, kTolerance) << what << ": " << d.text();
  }
};

TEST_P(MiniFluxGolden, TokenIdsAreEqual) {
  for (const auto& [folder, name, window] :
       {std::tuple{"tokenizer", "clip_ids", 77}, std::tuple{"tokenizer_2", "t5_ids", 32}}) {
    const Tokenizer tokenizer = Tokenizer::load(testing::model("mini-flux") / folder);
    const Encoded encoded = tokenizer.encode(golden(GetParam()).request.prompt, window, PadTo::kWindow);
    const Tensor want = file->tensor(key(name));
    ASSERT_EQ(static_cast<int64_t>(encoded.ids.size()), want.shape().count());
    for (size_t i = 0; i < encoded.ids.size(); ++i)
      EXPECT_EQ(encoded.ids[i], want.data<int64_t>()[i]) << name << " " << i;
  }
}

TEST_P(MiniFluxGolden, EveryTapLatentAndTheImageAgreeInF32) {
  Engine engine(ModelOptions{.model = testing::model("mini-flux").string(), .compute = ComputeType::kF32});
  Recorder recorder;
  engine.set_tap(&recorder);
  const ImageRequest request = golden(GetParam()).request;
  const testing::Painted painted = testing::paint(engine, request);
  ASSERT_EQ(painted.failure, "");

  expect_near(recorder.taps.at("text_encoder.pooler_output"), file->tensor(key("clip_pooled")), "clip_pooled");
  expect_near(recorder.taps.at("text_encoder_2.last_hidden_state"), file->tensor(key("t5_states")), "t5_states");
  if (GetParam() == 0) {
    for (const char* block : {"0", "1"}) {
      expect_near(recorder.taps.at(std::string("step0.transformer.transformer_blocks.") + block + ".img"),
                  file->tensor(key(std::string("step0.double_") + block + "_image")),
                  std::string("double block ") + block);
    }
    for (int block = 0; block < 6; ++block) {
      const std::string n = std::to_string(block);
      expect_near(recorder.taps.at("step0.transformer.single_transformer_blocks." + n + ".img"),
                  file->tensor(key("step0.single_" + n)), "single block " + n);
    }
    expect_near(recorder.taps.at("step0.transformer.velocity"), file->tensor(key("step0.velocity")),
                "velocity of step 0");
  }
  const Tensor latents = file->tensor(key("latents"));  // [steps, tokens, channels]
  const int64_t size = latents.shape()[1] * latents.shape()[2];
  ASSERT_EQ(latents.shape()[0], request.steps);
  for (int step = 0; step < request.steps; ++step) {
    const Tensor want = latents.reshaped(Shape{request.steps, size}).row_range(step, 1);
    expect_near(recorder.taps.at("step" + std::to_string(step) + ".latents"), want,
                "latents after step " + std::to_string(step));
  }
  const Tensor pixels = file->tensor(key("image"));
  const Image want{static_cast<int>(pixels.shape()[1]), static_cast<int>(pixels.shape()[0]),
                   std::vector<uint8_t>(pixels.data<uint8_t>(), pixels.data<uint8_t>() + pixels.shape().count())};
  EXPECT_GE(psnr(painted.image, want), 55.0);
}

TEST_P(MiniFluxGolden, SolverAndNoiseAreTheReferences) {
  const ImageRequest request = golden(GetParam()).request;
  const FluxPipelineConfig config = FluxPipelineConfig::load(testing::model("mini-flux"));
  const std::vector<float> sigmas = config.solver.sigmas(request.steps, request.width * request.height / 256);
  const Tensor want = file->tensor(key("sigmas"));
  ASSERT_EQ(static_cast<int64_t>(sigmas.size()), want.shape().count());
  for (size_t i = 0; i < sigmas.size(); ++i) EXPECT_NEAR(sigmas[i], want.f32()[i], 1e-6) << i;

  const Tensor noise = file->tensor(key("noise"));
  std::vector<float> mine(static_cast<size_t>(noise.shape().count()));
  TorchGenerator(request.seed).randn(mine);
  for (size_t i = 0; i < mine.size(); ++i) ASSERT_NEAR(mine[i], noise.f32()[i], 1e-6) << i;
}

INSTANTIATE_TEST_SUITE_P(Prompts, MiniFluxGolden, ::testing::Values(0, 1));

TEST(MiniFluxCompute, Bf16IsWithin50DbOfF32) {
  ImageRequest request = golden(0).request;
  const auto image = [&](ComputeType compute) {
    Engine engine(ModelOptions{.model = testing::model("mini-flux").string(), .compute = compute});
    return testing::paint(engine, request).image;
  };
  EXPECT_GE(psnr(image(ComputeType::kBF16), image(ComputeType::kF32)), 50.0);
}

// A second pipeline of other widths, depths and sizes: nothing is hard-coded to mini-FLUX.
TEST(FluxTinyGolden, EveryTapLatentAndTheImageAgreeInF32) {
  const auto folder = testing::golden("flux-tiny");
  const auto file = open_safetensors(folder / "golden.safetensors");
  Engine engine(ModelOptions{.model = folder.string(), .compute = ComputeType::kF32});
  Recorder recorder;
  engine.set_tap(&recorder);
  const Tensor noise = file->tensor("noise");
  const testing::Painted painted =
      testing::paint(engine, {.prompt = "a red fish, near the old house",
                              .width = 64,
                              .height = 64,
                              .steps = 4,
                              .guidance = 3.5f,
                              .max_sequence_length = 32,
                              .noise = std::vector<float>(noise.f32(), noise.f32() + noise.shape().count())});
  ASSERT_EQ(painted.failure, "");
  const auto expect_near = [&](const std::string& got, const std::string& want) {
    ASSERT_NE(file->find(want), nullptr) << want;
    const auto d = compare(recorder.taps.at(got), file->tensor(want));
    EXPECT_LE(d.over_range, kTolerance) << want << ": " << d.text();
  };
  expect_near("text_encoder.pooler_output", "clip_pooled");
  expect_near("text_encoder.last_hidden_state", "clip_hidden");
  expect_near("text_encoder_2.last_hidden_state", "t5_hidden");
  for (const char* block : {"transformer_blocks.0", "transformer_blocks.1"}) {
    expect_near(std::string("step0.transformer.") + block + ".img", std::string("tap.") + block + ".img");
    expect_near(std::string("step0.transformer.") + block + ".txt", std::string("tap.") + block + ".txt");
  }
  for (int step = 0; step < 4; ++step) {
    expect_near("step" + std::to_string(step) + ".transformer.velocity", "velocity." + std::to_string(step));
    expect_near("step" + std::to_string(step) + ".latents", "latents." + std::to_string(step + 1));
  }
  const Tensor pixels = file->tensor("image_u8");
  const auto decoded = file->tensor("vae_decode");  // [1, 3, 64, 64]
  Tensor planar(DType::kF32, decoded.shape());
  const Tensor& mine = recorder.taps.at("vae.decoded");
  for (int64_t i = 0; i < 64 * 64; ++i) {
    for (int64_t c = 0; c < 3; ++c) planar.f32()[c * 64 * 64 + i] = mine.f32()[i * 3 + c];
  }
  const auto difference = compare(planar, decoded);
  EXPECT_LE(difference.over_range, kTolerance) << "vae_decode: " << difference.text();
  const Image want{64, 64,
                   std::vector<uint8_t>(pixels.data<uint8_t>(), pixels.data<uint8_t>() + pixels.shape().count())};
  EXPECT_LE(max_difference(painted.image, want), 1);
}

TEST(FluxTinyGolden, TheVaeEncoderAgreesInF32) {
  const auto folder = testing::golden("flux-tiny");
  const auto file = open_safetensors(folder / "golden.safetensors");
  ThreadPool pool;
  Exec exec;
  exec.pool = &pool;
  exec.compute = DType::kF32;
  const FluxPipelineConfig config = FluxPipelineConfig::load(folder);
  QuantPlan plan({}, TextToImage::scope());
  Ledger ledger;
  LoadContext context{.exec = &exec, .plan = &plan, .ledger = &ledger};
  WeightSource source("vae", open_safetensors(folder / "vae"), JsonObject::load(folder / "vae/config.json"),
                      vae_kl_names());
  const VaeEncoder encoder(Scope(context, source), config.vae);

  const Tensor pixels = to_f32(file->tensor("image_float"));  // [1, 3, 64, 64] or [64, 64, 3], 0 to 1
  const bool planar = pixels.shape().rank() == 4 || pixels.shape()[0] == 3;
  Tensor image(DType::kF32, Shape{64, 64, 3});
  for (int64_t i = 0; i < 64 * 64; ++i) {
    for (int64_t c = 0; c < 3; ++c) image.f32()[i * 3 + c] = 2 * pixels.f32()[planar ? c * 64 * 64 + i : i * 3 + c] - 1;
  }
  const Tensor mean = encoder(exec, image);  // [8, 8, 4]
  const Tensor want = file->tensor("vae_encode_mean");
  Tensor channels_first(DType::kF32, want.shape());
  ASSERT_EQ(mean.shape().count(), want.shape().count());
  for (int64_t i = 0; i < 64; ++i) {
    for (int64_t c = 0; c < 4; ++c) channels_first.f32()[c * 64 + i] = mean.f32()[i * 4 + c];
  }
  const auto d = compare(channels_first, want);
  EXPECT_LE(d.over_range, kTolerance) << d.text();
}

}  // namespace
}  // namespace omni
