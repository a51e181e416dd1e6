// `omni quantize` as a user runs it: what it writes is used as the online path is, and a refused or stopped run leaves
// nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "base/files.h"
#include "checkpoint/checkpoint.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using testing::omni;
using testing::Result;

std::string tiny() {
  return testing::golden("flux-tiny").string();
}

// Two steps of a small picture; more: the flags that say what to load.
std::string picture(const std::string& model, std::vector<std::string> more) {
  const testing::TemporaryFolder folder;
  const fs::path file = folder.path() / "x.png";
  std::vector<std::string> args = {"generate", model, "--prompt", "crab", "--steps", "2",  "--width",    "32",
                                   "--height", "32",  "--seed",   "3",    "--quiet", "-o", file.string()};
  args.insert(args.end(), more.begin(), more.end());
  const Result r = omni(args);
  EXPECT_EQ(r.code, 0) << r.err;
  return r.code == 0 ? read_file(file, size_t{1} << 20) : "";
}

Result quantize(const std::string& model, const std::string& scheme, const fs::path& out,
                std::vector<std::string> more = {}, const std::string& environment = "") {
  std::vector<std::string> args = {"quantize", model, "--quantization", scheme, "-o", out.string(), "--quiet"};
  args.insert(args.end(), more.begin(), more.end());
  return omni(args, environment);
}

void expect_refused(const Result& r, int code, const std::vector<std::string>& words) {
  EXPECT_EQ(r.code, code) << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_EQ(r.err.rfind("omni: error: ", 0), 0u) << r.err;
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  for (const std::string& word : words)
    EXPECT_NE(r.err.find(word), std::string::npos) << "'" << word << "' is not in: " << r.err;
}

struct Case {
  std::string scheme, format;  // format "": the program's choice
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.scheme << " " << c.format;
}
class QuantizedPicture : public ::testing::TestWithParam<Case> {};

TEST_P(QuantizedPicture, IsThatOfTheOnlinePathByteForByte) {
  const auto& [scheme, format] = GetParam();
  const testing::TemporaryFolder folder;
  const bool gguf = format == "gguf";
  const fs::path out = folder.path() / (gguf ? "tiny.gguf" : "tiny");
  const Result r = quantize(tiny(), scheme, out,
                            format.empty() ? std::vector<std::string>{} : std::vector{std::string("--format"), format});
  ASSERT_EQ(r.code, 0) << r.err;
  const std::string online = picture(tiny(), {"--quantization", scheme});
  const std::string offline = gguf ? picture(tiny(), {"--gguf-model", out.string()}) : picture(out.string(), {});
  EXPECT_TRUE(online == offline) << "the pictures differ";
  EXPECT_FALSE(online.empty());
}

INSTANTIATE_TEST_SUITE_P(Quantize, QuantizedPicture,
                         ::testing::Values(Case{"int8", ""}, Case{"fp8", ""}, Case{"fp8", "fp8"}, Case{"int4/g32", ""},
                                           Case{"int4_g32_asym", ""}, Case{"nvfp4", ""}, Case{"mxfp4", ""},
                                           Case{"mxfp8", ""}, Case{"fp8/16x16", "fp8"}, Case{"q8_0", "gguf"},
                                           Case{"q4_0", "gguf"}, Case{"q4_1", "gguf"}));

TEST(Quantize, WritesAWholeModelAndSaysWhatItDid) {
  const testing::TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  const Result r = quantize(tiny(), R"({"transformer": "int8", "text_encoder_2": "int4/g32"})", out, {"--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const nlohmann::json said = nlohmann::json::parse(r.out);
  EXPECT_EQ(said["format"], "compressed-tensors");
  EXPECT_EQ(said["components"], nlohmann::json({"text_encoder_2", "transformer"}));
  EXPECT_LT(said["bytes_after"], said["bytes_before"]);
  EXPECT_GT(said["error_max"], said["error_mean"]);
  for (const auto& weight : said["weights"]) {
    EXPECT_GT(weight["error"], 0) << weight;
    EXPECT_LT(weight["bytes_after"], weight["bytes_before"]) << weight;
  }
  // Components that stay are the very files; what changes has a config that says so.
  EXPECT_TRUE(fs::equivalent(out / "vae/diffusion_pytorch_model.safetensors",
                             fs::path(tiny()) / "vae/diffusion_pytorch_model.safetensors") ||
              read_file(out / "vae/config.json", 1 << 20) == read_file(fs::path(tiny()) / "vae/config.json", 1 << 20));
  const nlohmann::json config = nlohmann::json::parse(read_file(out / "transformer/config.json", 1 << 20));
  EXPECT_EQ(config["quantization_config"]["quant_method"], "compressed-tensors");
  EXPECT_EQ(config["_class_name"], "FluxTransformer2DModel");
  const auto& ignore = config["quantization_config"]["ignore"];
  EXPECT_NE(std::find(ignore.begin(), ignore.end(), "proj_out"), ignore.end());
  EXPECT_EQ(picture(out.string(), {}),
            picture(tiny(), {"--quantization-config", R"({"transformer": "int8", "text_encoder_2": "int4/g32"})"}));
}

TEST(Quantize, ShardsAreCutAtTheSizeAskedFor) {
  const testing::TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  ASSERT_EQ(quantize(tiny(), "int8", out, {"--shard-size", "100kB"}).code, 0);
  EXPECT_TRUE(fs::exists(out / "transformer/diffusion_pytorch_model.safetensors.index.json"));
  int64_t shards = 0;
  for (const auto& entry : fs::directory_iterator(out / "transformer")) {
    if (entry.path().extension() != ".safetensors") continue;
    ++shards;
    EXPECT_LT(entry.file_size(), 110'000u) << entry.path();
  }
  EXPECT_GE(shards, 3);
  EXPECT_EQ(picture(out.string(), {}), picture(tiny(), {"--quantization", "int8"}));
}

TEST(Quantize, AGgufFileHasTheNamesThatOthersKnow) {
  const testing::TemporaryFolder folder;
  const fs::path out = folder.path() / "tiny.gguf";
  ASSERT_EQ(quantize(tiny(), "q8_0", out).code, 0) << "the extension says the format";
  const auto file = open_checkpoint(out);
  EXPECT_EQ(file->metadata("general.architecture"), "flux");
  EXPECT_EQ(file->metadata("general.file_type"), "7");
  EXPECT_EQ(file->metadata("general.quantization_version"), "2");
  const auto* qkv = file->find("double_blocks.0.img_attn.qkv.weight");
  ASSERT_NE(qkv, nullptr);
  EXPECT_EQ(qkv->shape, (Shape{192, 64}));
  EXPECT_EQ(qkv->block_type, 8);
  EXPECT_EQ(file->find("double_blocks.0.img_attn.qkv.bias")->dtype, DType::kF32);
  EXPECT_NE(file->find("final_layer.adaLN_modulation.1.weight"), nullptr);
}

TEST(Quantize, AStoredSchemeStaysUnlessRequantizeIsAskedFor) {
  const testing::TemporaryFolder folder;
  const fs::path a = folder.path() / "a", b = folder.path() / "b", c = folder.path() / "c";
  ASSERT_EQ(quantize(tiny(), "fp8", a).code, 0);
  expect_refused(quantize(a.string(), "int8", b), 2, {"stored as", "int8", "requantize"});
  EXPECT_FALSE(fs::exists(b));
  const Result r = quantize(a.string(), R"({"method": "int8", "requantize": true})", b);
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_NE(picture(b.string(), {}), picture(a.string(), {}));
  // Another format of the same numbers needs no wish.
  const Result same = omni({"quantize", a.string(), "--format", "fp8", "-o", c.string(), "--quiet"});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(picture(c.string(), {}), picture(a.string(), {}));
}

TEST(Quantize, WhatIsThereStays) {
  const testing::TemporaryFolder folder;
  const fs::path out = folder.path() / "out", other = folder.path() / "other";
  ASSERT_EQ(quantize(tiny(), "int8", out).code, 0);
  const std::string before = read_file(out / "transformer/config.json", 1 << 20);
  expect_refused(quantize(tiny(), "fp8", out), 2, {"out' exists", "--force"});
  EXPECT_EQ(read_file(out / "transformer/config.json", 1 << 20), before);
  EXPECT_EQ(quantize(tiny(), "fp8", out, {"--force"}).code, 0);
  EXPECT_NE(read_file(out / "transformer/config.json", 1 << 20), before);
  fs::create_directory(other);
  std::ofstream(other / "diary.txt") << "x";
  expect_refused(quantize(tiny(), "fp8", other, {"--force"}), 2, {"other' is no model"});
  EXPECT_TRUE(fs::exists(other / "diary.txt"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 2) << "nothing else is left";
}

TEST(Quantize, PlacesThatCannotBeWrittenAreRefusedBeforeTheWork) {
  const testing::TemporaryFolder folder;
  const fs::path copy = folder.path() / "model";
  fs::copy(tiny(), copy, fs::copy_options::recursive);
  expect_refused(quantize(copy.string(), "int8", copy / "quantized"), 2, {"-o", "lies in it"});
  expect_refused(quantize(copy.string(), "int8", copy, {"--force"}), 2, {"-o", "the model"});
  expect_refused(quantize(copy.string(), "int8", folder.path(), {"--force"}), 2, {"-o", "the model"});
  expect_refused(quantize(tiny(), "int8", folder.path() / "no/out"), 1, {"no/out", "its folder does not exist"});
  EXPECT_TRUE(fs::exists(copy / "model_index.json"));
}

TEST(Quantize, FormatsThatDoNotHoldASchemeSayWhichDo) {
  const testing::TemporaryFolder folder;
  const fs::path out = folder.path() / "out";
  expect_refused(quantize(tiny(), "int8", out, {"--format", "fp8"}), 2, {"int8", "expected compressed-tensors"});
  expect_refused(quantize(tiny(), "q4_1", out, {"--format", "compressed-tensors"}), 2, {"q4_1", "gguf"});
  expect_refused(quantize(tiny(), "int8", out, {"--format", "gguf"}), 2, {"int8", "q8_0"});
  expect_refused(quantize(tiny(), "nf4", out), 2, {"nf4"});
  expect_refused(quantize(tiny(), "int8", out, {"--format", "zip"}), 2, {"zip", "compressed-tensors", "fp8", "gguf"});
  expect_refused(quantize(tiny(), R"({"transformer": "q8_0", "text_encoder_2": "q8_0"})", out, {"--format", "gguf"}), 2,
                 {"text_encoder_2, transformer"});
  expect_refused(omni({"quantize", tiny(), "-o", out.string(), "--quiet"}), 2, {"no weight would change"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Quantize, AFullDiskIsOneErrorAndLeavesNothing) {
  const testing::TemporaryFolder folder;
  // A limit on the size of files stands for the disk: blocks of 1 kB.
  const Result r = quantize(tiny(), "int8", folder.path() / "out", {}, "bash -c 'ulimit -f 100; exec \"$@\"' run");
  expect_refused(r, 1, {"out", "cannot be written", "File too large"});
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Quantize, AStoppedRunLeavesNothingUnderTheName) {
  int stopped = 0;
  for (const char* signal : {"TERM", "KILL"}) {
    for (const char* delay : {"0.02", "0.05", "0.1", "0.2"}) {
      const testing::TemporaryFolder folder;
      const fs::path out = folder.path() / "out.gguf";
      const Result r =
          quantize("mini-flux", "q4_k", out, {"--threads", "1"}, std::string("timeout -s ") + signal + " " + delay);
      if (fs::exists(out)) {
        EXPECT_NO_THROW((void)open_checkpoint(out)) << "what has the name is whole";
      }
      if (r.code == 0) continue;
      ++stopped;
      if (std::string(signal) == "KILL") continue;
      EXPECT_TRUE(fs::exists(out) || fs::is_empty(folder.path())) << "an interrupt cleans up";
    }
  }
  EXPECT_GE(stopped, 4) << "all runs were over before they could be stopped";
}

}  // namespace
}  // namespace omni
