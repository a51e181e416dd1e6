// FLUX transformers that ggml and bitsandbytes quantized, against what diffusers computed from the dequantized weights.
#include <gtest/gtest.h>

#include "base/json.h"
#include "checkpoint/gguf_write.h"
#include "engine/original_flux.h"
#include "engine/picture_support.h"
#include "media/quality.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
constexpr double kTolerance = 2e-3;  // of the recorded range, at every point

// Paints flux-tiny's recorded picture with another transformer and compares every step.
void expect_recorded(ModelOptions options, const Checkpoint& golden) {
  options.model = testing::golden("flux-tiny").string();
  options.compute = ComputeType::kF32;
  Engine engine(options);
  testing::Recorder recorder;
  engine.set_tap(&recorder);
  const Tensor noise = open_safetensors(testing::golden("flux-tiny/golden.safetensors"))->tensor("noise");
  ImageRequest request{.prompt = "a red fish, near the old house",
                       .width = 64,
                       .height = 64,
                       .steps = 4,
                       .guidance = 3.5f,
                       .max_sequence_length = 32};
  request.noise.assign(noise.f32(), noise.f32() + noise.shape().count());
  const testing::Painted painted = testing::paint(engine, request);
  ASSERT_EQ(painted.failure, "");
  for (int step = 0; step < 4; ++step) {
    const std::string at = "step" + std::to_string(step);
    const auto velocity = testing::compare(recorder.taps.at(at + ".transformer.velocity"),
                                           golden.tensor("velocity." + std::to_string(step)));
    EXPECT_LE(velocity.over_range, kTolerance) << "velocity of " << at << ": " << velocity.text();
    const auto latents =
        testing::compare(recorder.taps.at(at + ".latents"), golden.tensor("latents." + std::to_string(step + 1)));
    EXPECT_LE(latents.over_range, kTolerance) << "latents after " << at << ": " << latents.text();
  }
  const Tensor pixels = golden.tensor("image_u8");
  const Image want{64, 64,
                   std::vector<uint8_t>(pixels.data<uint8_t>(), pixels.data<uint8_t>() + pixels.shape().count())};
  EXPECT_LE(max_difference(painted.image, want), 1);
}

TEST(QuantizedFlux, BitsandbytesNf4GivesTheRecordedPicture) {
  const fs::path folder = testing::golden("flux-tiny-nf4");
  const auto golden = open_safetensors(folder / "golden.safetensors");
  expect_recorded(ModelOptions{.component_files = {{"transformer", folder.string()}}}, *golden);
}

// The file as ggml wrote it: its Q4_K blocks are recorded; the rest is plain, or Q8_0, whose rounding is defined.
TEST(QuantizedFlux, GgufInOriginalNamesGivesTheRecordedPicture) {
  const auto golden = open_safetensors(testing::golden("flux-tiny-gguf/golden.safetensors"));
  const JsonObject types = JsonObject::parse(golden->metadata("types"), "types");
  std::vector<GgufTensor> tensors;
  int recorded = 0, rounded = 0;
  for (const auto& [name, values] : testing::OriginalFlux().tensors) {
    const GgmlTypeInfo* info = find_ggml_type(types.string(name));
    ASSERT_NE(info, nullptr) << name;
    Tensor bytes;
    if (golden->find("blocks." + name) != nullptr) {
      bytes = golden->tensor("blocks." + name);
      ++recorded;
    } else if (info->scheme.quantized()) {
      bytes = to_gguf_blocks(encode(to_f32(values), info->scheme, name, nullptr), info->type);
      ++rounded;
    } else {
      bytes = cast(values, info->dtype);
    }
    tensors.push_back({{name, info->type, values.shape()}, bytes});
  }
  EXPECT_EQ(recorded, 4);
  EXPECT_EQ(rounded, 22);
  const testing::TemporaryFolder folder;
  const std::string file = (folder.path() / "flux-tiny.gguf").string();
  write_gguf(file, {{"general.architecture", GgufValue::text("flux")}}, tensors);
  expect_recorded(ModelOptions{.gguf_model = file}, *golden);
}

}  // namespace
}  // namespace omni
