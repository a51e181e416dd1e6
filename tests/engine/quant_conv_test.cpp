// An AutoencoderKL with quant convolutions, as Stable Diffusion's has and FLUX's has not.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/picture_support.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

// flux-tiny whose VAE has 1 x 1 convolutions around the latents that multiply by factor.
fs::path with_quant_convs(const fs::path& folder, float factor) {
  const fs::path model = folder / std::to_string(factor);
  fs::copy(fs::path(OMNI_SOURCE_DIR) / "tests/golden/flux-tiny", model, fs::copy_options::recursive);
  const fs::path config_file = model / "vae/config.json", weights = model / "vae/diffusion_pytorch_model.safetensors";
  nlohmann::json config = nlohmann::json::parse(std::ifstream(config_file));
  config["use_quant_conv"] = config["use_post_quant_conv"] = true;
  fs::remove(config_file);
  std::ofstream(config_file) << config;
  std::vector<NamedTensor> tensors;
  const auto stored = open_safetensors(weights);
  for (const std::string& name : stored->names()) tensors.push_back({name, stored->tensor(name)});
  for (const auto& [name, channels] : {std::pair{"quant_conv", 8}, std::pair{"post_quant_conv", 4}}) {
    Tensor kernel(DType::kF32, Shape{channels, channels, 1, 1}), bias(DType::kF32, Shape{channels});
    std::fill_n(kernel.f32(), channels * channels, 0.0f);
    std::fill_n(bias.f32(), channels, 0.0f);
    for (int c = 0; c < channels; ++c) kernel.f32()[c * channels + c] = factor;
    tensors.push_back({std::string(name) + ".weight", kernel});
    tensors.push_back({std::string(name) + ".bias", bias});
  }
  const fs::path changed = model / "vae/changed.safetensors";
  write_safetensors(changed, tensors);
  fs::rename(changed, weights);
  return model;
}

std::vector<uint8_t> picture(const fs::path& model) {
  ModelOptions options;
  options.model = model.string();
  options.compute = ComputeType::kF32;
  Engine engine(options);
  ImageRequest request;
  request.prompt = "a cat";
  request.steps = 2;
  request.width = request.height = 64;
  const testing::Painted painted = testing::paint(engine, request);
  EXPECT_EQ(painted.failure, "");
  return painted.image.rgb;
}

TEST(QuantConv, AnIdentityChangesNothingAndAFactorDoes) {
  const testing::TemporaryFolder folder;
  const std::vector<uint8_t> plain = picture(fs::path(OMNI_SOURCE_DIR) / "tests/golden/flux-tiny");
  ASSERT_FALSE(plain.empty());
  EXPECT_EQ(picture(with_quant_convs(folder.path(), 1.0f)), plain);
  EXPECT_NE(picture(with_quant_convs(folder.path(), 0.5f)), plain);
}

}  // namespace
}  // namespace omni
