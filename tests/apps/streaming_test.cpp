// Online quantization of a checkpoint larger than what may be in memory at once: a sparse file made on the spot.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/program.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::omni;
using testing::Result;

// flux-tiny with a transformer of 1.1 billion zeros in bf16, of which the disk holds the header only.
class StreamingTest : public ::testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer's own memory and time are not what is measured here";
#endif
    model_ = folder_.path() / "model";
    fs::copy(fs::path(OMNI_SOURCE_DIR) / "tests/golden/flux-tiny", model_, fs::copy_options::recursive);
    const fs::path transformer = model_ / "transformer";
    json config = json::parse(std::ifstream(transformer / "config.json"));
    config["num_attention_heads"] = 16;
    config["attention_head_dim"] = 128;
    config["axes_dims_rope"] = {16, 56, 56};
    config["num_layers"] = 4;
    config["num_single_layers"] = 8;
    fs::remove(transformer / "config.json");
    std::ofstream(transformer / "config.json") << config;
    const Result dummy = omni({"plan", model_.string(), "--load-format", "dummy", "--json"});
    ASSERT_EQ(dummy.code, 0) << dummy.err;
    write_sparse(transformer / "diffusion_pytorch_model.safetensors", json::parse(dummy.out)["weights"]);
  }

  // Every weight of the transformer under its own name, all bytes a hole.
  void write_sparse(const fs::path& file, const json& weights) {
    constexpr std::string_view kComponent = "transformer.";
    json header = json::object();
    for (const json& weight : weights) {
      const auto path = weight["path"].get<std::string>();
      if (!path.starts_with(kComponent)) continue;
      std::string name = path.substr(kComponent.size());
      const bool vector = weight["role"] == "never";
      json shape = weight["shape"];
      if (vector) shape = json::array({shape[0]});
      if (!vector) name += ".weight";
      const int64_t bytes = 2 * shape[0].get<int64_t>() * (vector ? 1 : shape[1].get<int64_t>());
      header[name] = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {stored_, stored_ + bytes}}};
      stored_ += bytes;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const uint64_t size = text.size();
    fs::remove(file);
    std::ofstream out(file, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&size), sizeof(size));
    out << text;
    out.close();
    fs::resize_file(file, sizeof(size) + size + static_cast<uint64_t>(stored_));
  }

  testing::TemporaryFolder folder_;
  fs::path model_;
  int64_t stored_ = 0;
};

TEST_F(StreamingTest, PeakMemoryIsThePackedModelAndOneWeight) {
  ASSERT_GT(stored_, int64_t{2'000'000'000});
  const Result planned = omni({"plan", model_.string(), "--quantization", "int8", "--json"});
  ASSERT_EQ(planned.code, 0) << planned.err;
  const auto allowed = json::parse(planned.out)["peak_load_bytes"].get<int64_t>();
  ASSERT_LT(allowed, stored_ * 3 / 4) << "the claim must be worth testing";
  const std::string picture = (folder_.path() / "a.png").string();
  const Result r = omni({"generate", model_.string(), "--prompt", "a", "--quantization", "int8", "--steps", "1",
                         "--width", "32", "--height", "32", "--quiet", "--json", "-o", picture});
  ASSERT_EQ(r.code, 0) << r.err;
  const json out = json::parse(r.out);
  const auto peak = out["memory"]["peak_bytes"].get<int64_t>();
  constexpr int64_t kProgram = 200'000'000;  // code, threads, scratch, the other components, what malloc keeps
  EXPECT_LT(peak, allowed + kProgram) << "load " << out["timings"]["load_s"] << " s, stored " << stored_;
  EXPECT_LT(peak, stored_) << "less than the checkpoint that was quantized";
  EXPECT_GT(peak, out["memory"]["weights_bytes"].get<int64_t>()) << "what is measured is resident memory";
}

}  // namespace
}  // namespace omni
