// The program as a user runs it: exit codes, one clear line for every wrong input, nothing half-written.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "media/image.h"
#include "media/quality.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

using testing::omni;
using testing::Result;

// A copy of mini-FLUX made of links, so that one file of it can be damaged.
class Model {
 public:
  Model() {
    const fs::path from = testing::model("mini-flux");
    for (const auto& entry : fs::recursive_directory_iterator(from)) {
      const fs::path to = folder_.path() / fs::relative(entry.path(), from);
      if (entry.is_directory())
        fs::create_directories(to);
      else
        fs::create_hard_link(entry.path(), to);
    }
  }
  std::string path() const { return folder_.path().string(); }
  void replace(const std::string& file, const std::string& bytes) const {
    fs::remove(folder_.path() / file);
    std::ofstream(folder_.path() / file, std::ios::binary) << bytes;
  }
  std::string text(const std::string& file) const { return read_file(folder_.path() / file, size_t{64} << 20); }
  void remove(const std::string& file) const { fs::remove_all(folder_.path() / file); }

 private:
  testing::TemporaryFolder folder_;
};

void expect_refused(const Result& r, int code, const std::vector<std::string>& words) {
  EXPECT_EQ(r.code, code) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err.rfind("omni: error: ", 0), 0u) << r.err;
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  for (const std::string& word : words)
    EXPECT_NE(r.err.find(word), std::string::npos) << "'" << word << "' is not in: " << r.err;
}

TEST(Cli, WrongUsageIsOneLineAndExitCode2) {
  const testing::TemporaryFolder folder;
  const std::string file = (folder.path() / "x.png").string();
  const auto generate = [&](std::vector<std::string> more) {
    std::vector<std::string> args = {"generate", "mini-flux", "--quiet", "-o", file};
    args.insert(args.end(), more.begin(), more.end());
    return omni(args);
  };
  expect_refused(generate({"--prompt", "a cat", "--quantization", "fp_8"}), 2, {"fp_8", "did you mean", "fp8"});
  expect_refused(generate({"--prompt", "a cat", "--width", "250"}), 2, {"width", "250", "multiple of 16"});
  expect_refused(generate({"--prompt", "a cat", "--height", "1000000000"}), 2, {"height", "1000000000"});
  expect_refused(generate({"--prompt", "a cat", "--width", "-16"}), 2, {"width", "-16"});
  expect_refused(generate({"--prompt", "a cat", "--steps", "0"}), 2, {"--steps"});
  expect_refused(generate({"--prompt", ""}), 2, {"prompt", "empty"});
  expect_refused(generate({"--prompt", "a\xff"}), 2, {"UTF-8"});
  expect_refused(generate({"--prompt", "a cat", "--device", "cuda"}), 2, {"--device", "OMNI_CUDA"});
  expect_refused(generate({"--prompt", "a cat", "--dtype", "f64"}), 2, {"--dtype", "f64"});
  expect_refused(generate({"--prompt", "a cat", "--threads", "-1"}), 2, {"--threads"});
  expect_refused(generate({"--prompt", "a cat", "--quantization", "int8", "--quantization-config", "{}"}), 2,
                 {"--quantization-config"});
  expect_refused(generate({"--prompt", "a cat", "--kv-cache-dtype", "fp8"}), 2, {"--kv-cache-dtype"});
  expect_refused(omni({"generate", "mini-flux", "--prompt", "a cat", "-o", (folder.path() / "x.bmp").string()}), 2,
                 {"x.bmp", "png"});
  expect_refused(omni({"verify", "mini-flux", "--quantization", "int8", "--gate", "psnr"}), 2,
                 {"psnr", "METRIC=NUMBER"});
  expect_refused(omni({"verify", "mini-flux", "--quantization", "int8", "--gate", "lpips=0.1"}), 2, {"lpips"});
  expect_refused(omni({"plan", "mini-flux"}, "OMNI_ISA=avx1024"), 2, {"OMNI_ISA", "avx1024"});
  EXPECT_EQ(omni({}).code, 2);
  EXPECT_EQ(omni({"paint"}).code, 2);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Cli, AJobThatCannotBeDoneIsOneLineAndExitCode1) {
  const testing::TemporaryFolder folder;
  const std::string file = (folder.path() / "x.png").string();
  const auto generate = [&](const std::string& model, std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"generate", model, "--quiet", "--prompt", "a cat", "-o", file};
    args.insert(args.end(), more.begin(), more.end());
    return omni(args);
  };
  expect_refused(generate("no-such-model"), 1, {"no-such-model", "mini-flux"});
  for (const auto& [name, words] : {std::pair<std::string, std::vector<std::string>>{
                                        "pipeline-class-unknown", {"FluxTransformer9DModel", "transformer"}},
                                    {"pipeline-component-missing", {"vae", "missing"}}}) {
    expect_refused(generate(testing::golden("damaged_pipelines/" + name).string()), 1, words);
  }
  expect_refused(omni({"generate", "mini-flux", "--prompt", "a cat", "-o", "/proc/x.png"}), 1, {"/proc"});
  expect_refused(omni({"generate", "mini-flux", "--prompt", "a cat", "-o", (folder.path() / "no/x.png").string()}), 1,
                 {"folder does not exist"});
  expect_refused(generate("mini-flux", {"--quantization", "int8", "--ignored-layers", "ff_contxt"}), 2, {"ff_contxt"});

  Model model;
  const std::string weights = model.text("transformer/diffusion_pytorch_model.safetensors");
  model.replace("transformer/diffusion_pytorch_model.safetensors", weights.substr(0, weights.size() - 1000));
  expect_refused(generate(model.path()), 1, {"diffusion_pytorch_model.safetensors"});
  model.remove("transformer/diffusion_pytorch_model.safetensors");
  expect_refused(generate(model.path()), 1, {"transformer"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Cli, LyingConfigsAreRefusedWithTheirKey) {
  const testing::TemporaryFolder folder;
  struct Lie {
    const char* file;
    const char* from;
    const char* to;
    std::vector<std::string> words;
  };
  const std::vector<Lie> lies = {
      {"transformer/config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 8", {"transformer", "shape"}},
      {"transformer/config.json", "\"num_layers\": 2", "\"num_layers\": 3", {"transformer_blocks.2", "missing"}},
      {"transformer/config.json", "\"num_layers\": 2", "\"num_layers\": 1000000000", {"num_layers", "1000000000"}},
      {"transformer/config.json", "\"attention_head_dim\": 64", "\"attention_head_dim\": 65", {"axes_dims_rope", "65"}},
      {"transformer/config.json",
       "FluxTransformer2DModel",
       "SD3Transformer2DModel",
       {"SD3Transformer2DModel", "FluxTransformer2DModel"}},
      {"transformer/config.json",
       "\"joint_attention_dim\": 256",
       "\"joint_attention_dim\": 512",
       {"joint_attention_dim", "512", "256"}},
      {"transformer/config.json", "\"patch_size\": 1", "\"patch_size\": 1,", {"config.json", "JSON"}},
      {"text_encoder/config.json", "\"vocab_size\": 2021", "\"vocab_size\": 2000", {"token_embedding", "2021"}},
      {"text_encoder/config.json",
       "\"num_attention_heads\": 4",
       "\"num_attention_heads\": 3",
       {"num_attention_heads", "3"}},
      {"text_encoder_2/config.json", "gated-gelu", "relu", {"feed_forward_proj", "relu"}},
      {"vae/config.json", "\"latent_channels\": 16", "\"latent_channels\": 4", {"in_channels", "64"}},
      {"vae/config.json", "\"norm_num_groups\": 16", "\"norm_num_groups\": 0", {"norm_num_groups", "0"}},
      {"scheduler/scheduler_config.json", "FlowMatchEulerDiscreteScheduler", "DDIMScheduler", {"DDIMScheduler"}},
      {"model_index.json", "FluxPipeline", "StableDiffusionPipeline", {"StableDiffusionPipeline", "FluxPipeline"}},
  };
  for (const Lie& lie : lies) {
    Model model;
    std::string text = model.text(lie.file);
    const size_t at = text.find(lie.from);
    ASSERT_NE(at, std::string::npos) << lie.from;
    model.replace(lie.file, text.replace(at, std::string(lie.from).size(), lie.to));
    expect_refused(
        omni({"generate", model.path(), "--quiet", "--prompt", "a cat", "-o", (folder.path() / "x.png").string()}), 1,
        lie.words);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Cli, APromptBeyondTheWindowIsCutWithAWarningThatSaysHowMuch) {
  const testing::TemporaryFolder folder;
  std::string prompt = "a cat";
  for (int i = 0; i < 60; ++i) prompt += " on a teal background";
  const Result r = omni({"generate", "mini-flux", "--prompt", prompt, "--width", "64", "--height", "64", "--steps", "1",
                         "-o", (folder.path() / "x.png").string()});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.err.find("tokens longer than the 77"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("tokens longer than the 32"), std::string::npos) << r.err;
}

TEST(Cli, GenerateWritesThePictureAndOneJsonDocument) {
  const testing::TemporaryFolder folder;
  const auto run = [&](const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> args = {
        "generate", "mini-flux", "--prompt", "a cat",   "--steps", "2", "--width", "64",
        "--height", "96",        "--json",   "--quiet", "--seed",  "5", "-o",      (folder.path() / name).string()};
    args.insert(args.end(), more.begin(), more.end());
    const Result r = omni(args);
    EXPECT_EQ(r.code, 0) << r.err;
    return nlohmann::json::parse(r.out);
  };
  const nlohmann::json json = run("a.png", {});
  EXPECT_EQ(json["outputs"][0]["width"], 64);
  EXPECT_EQ(json["outputs"][0]["height"], 96);
  for (const char* key : {"load_s", "encode_s", "denoise_s", "decode_s", "total_s"})
    EXPECT_GT(json["timings"][key].get<double>(), 0) << key;
  EXPECT_GT(json["memory"]["peak_bytes"].get<int64_t>(), json["memory"]["weights_bytes"].get<int64_t>());
  EXPECT_EQ(json["quantization"]["components"]["transformer"]["quantized"], 0);

  run("b.png", {});
  EXPECT_EQ(read_file(folder.path() / "a.png", 1 << 20), read_file(folder.path() / "b.png", 1 << 20))
      << "one seed, two pictures";
  run("c.png", {"--threads", "1"});
  EXPECT_EQ(read_file(folder.path() / "a.png", 1 << 20), read_file(folder.path() / "c.png", 1 << 20))
      << "another thread count, another picture";
  const nlohmann::json quantized = run("d.png", {"--quantization", R"({"transformer": "int8"})"});
  EXPECT_EQ(quantized["quantization"]["components"]["transformer"]["quantized"], 54);
  const Image a = read_image(folder.path() / "a.png"), d = read_image(folder.path() / "d.png");
  EXPECT_GT(max_difference(a, d), 0);
  EXPECT_GT(psnr(a, d), 25);
  run("e.webp", {});
  EXPECT_EQ(max_difference(a, read_image(folder.path() / "e.webp")), 0);
  run("f.jpg", {"--n", "2"});
  EXPECT_TRUE(fs::exists(folder.path() / "f-1.jpg") && fs::exists(folder.path() / "f-2.jpg"));
}

TEST(Cli, TapsAndNoiseMakeARunRepeatable) {
  const testing::TemporaryFolder folder;
  const std::string taps = (folder.path() / "taps").string();
  const std::vector<std::string> base = {"generate", "mini-flux", "--prompt", "rocket", "--steps", "2",
                                         "--width",  "64",        "--height", "64",     "--quiet", "-o"};
  auto args = base;
  args.insert(args.end(), {(folder.path() / "a.png").string(), "--taps", taps, "--taps-filter", "*latents*"});
  ASSERT_EQ(omni(args).code, 0);
  EXPECT_TRUE(fs::exists(fs::path(taps) / "step0.latents.npy"));
  EXPECT_FALSE(fs::exists(fs::path(taps) / "step0.transformer.velocity.npy"));
  EXPECT_EQ(read_npy(fs::path(taps) / "step1.latents.npy").shape(), (Shape{16, 64}));

  write_npy(folder.path() / "short.npy", Tensor(DType::kF32, Shape{16, 8, 7}));
  args = base;
  args.insert(args.end(), {(folder.path() / "b.png").string(), "--noise", (folder.path() / "short.npy").string()});
  const Result r = omni(args);
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("1024"), std::string::npos) << r.err;
}

TEST(Cli, PlanPrintsWhatLoadingWouldDo) {
  const Result table = omni({"plan", "mini-flux", "--quantization", "q4_k"});
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_NE(table.out.find("transformer.single_transformer_blocks.{0..5}.proj_mlp"), std::string::npos);
  const Result r = omni({"plan", "mini-flux", "--quantization", "q4_k", "--json"});
  const nlohmann::json plan = nlohmann::json::parse(r.out);
  int64_t quantized = 0, packed = 0;
  for (const auto& w : plan["weights"]) {
    quantized += w["target"] == "q4_k" ? 1 : 0;
    packed += w["bytes_packed"].get<int64_t>();
  }
  EXPECT_EQ(quantized, 54);
  EXPECT_TRUE(plan["unread_tensors"].empty()) << plan["unread_tensors"];
  EXPECT_TRUE(plan["unmatched_rules"].empty());
  EXPECT_GE(plan["peak_load_bytes"].get<int64_t>(), packed);
}

TEST(Cli, TheRealFluxConfigsPlanWithoutWeights) {
  for (const char* name : {"FLUX.1-dev", "FLUX.1-schnell"}) {
    const Result r = omni({"plan", (testing::source_dir() / "configs" / name).string(), "--load-format", "dummy",
                           "--quantization", "fp8", "--json"});
    ASSERT_EQ(r.code, 0) << r.err;
    const nlohmann::json plan = nlohmann::json::parse(r.out);
    int64_t parameters = 0;
    for (const auto& w : plan["weights"]) {
      if (w["path"].get<std::string>().rfind("transformer.", 0) == 0)
        parameters += w["shape"][0].get<int64_t>() * w["shape"][1].get<int64_t>();
    }
    EXPECT_NEAR(static_cast<double>(parameters), 11.9e9, 0.05e9) << name;
  }
}

TEST(Cli, VerifyGatesNameTheWorstPrompts) {
  const testing::TemporaryFolder folder;
  const std::string report = (folder.path() / "r.html").string(), sheet = (folder.path() / "s.png").string();
  std::vector<std::string> args = {"verify",   "mini-flux", "--quantization", "int8,q4_k", "--prompt", "a cat",
                                   "--prompt", "rocket",    "--steps",        "4",         "--width",  "64",
                                   "--height", "64",        "--report",       report,      "--sheet",  sheet,
                                   "--json",   "--quiet"};
  args.insert(args.end(), {"--gate", "psnr=1"});
  const Result good = omni(args);
  EXPECT_EQ(good.code, 0) << good.err;
  const nlohmann::json json = nlohmann::json::parse(good.out);
  EXPECT_EQ(json["outputs"].size(), 3u);
  EXPECT_LT(json["outputs"][2]["quantized_bytes"].get<int64_t>(), json["outputs"][1]["quantized_bytes"].get<int64_t>());
  EXPECT_NE(read_file(report, size_t{64} << 20).find("data:image/png;base64,"), std::string::npos);
  EXPECT_GT(read_image(sheet).width, 3 * 64);

  args.back() = "psnr=200";
  const Result bad = omni(args);
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.err.find("psnr"), std::string::npos) << bad.err;
  EXPECT_NE(bad.err.find("rocket"), std::string::npos) << bad.err;
}

}  // namespace
}  // namespace omni
