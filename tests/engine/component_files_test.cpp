// Weights of a component from elsewhere than the model's folder: original FLUX names, GGUF, folders with a config.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "checkpoint/gguf_write.h"
#include "engine/loader.h"
#include "engine/original_flux.h"
#include "engine/picture_support.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
using testing::compare;
using testing::OriginalFlux;

class ComponentFilesTest : public ::testing::Test {
 protected:
  ModelOptions options(const std::string& transformer = "") const {
    ModelOptions o{.model = testing::golden("flux-tiny").string(), .compute = ComputeType::kF32};
    if (!transformer.empty()) o.component_files = {{"transformer", transformer}};
    return o;
  }
  // Velocity of the first step.
  static Tensor velocity(const ModelOptions& options) {
    Engine engine(options);
    testing::Recorder recorder;
    engine.set_tap(&recorder);
    const testing::Painted painted = testing::paint(
        engine, {.prompt = "a red fish", .width = 64, .height = 64, .steps = 1, .seed = 3, .max_sequence_length = 32});
    EXPECT_EQ(painted.failure, "");
    return recorder.taps.at("step0.transformer.velocity");
  }
  static std::string message(const ModelOptions& options, bool usage = false) {
    try {
      Engine engine(options);
    } catch (const Error& e) {
      EXPECT_EQ(e.fault() == Fault::kUsage, usage) << e.what();
      return e.what();
    }
    return "";
  }
  static bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
  // The model's transformer in a folder with a config in which `from` became `to`.
  std::string folder_with_config(const std::string& from, const std::string& to) const {
    const fs::path source = testing::golden("flux-tiny/transformer"), folder = folder_.path() / "own";
    fs::create_directories(folder);
    fs::copy_file(source / "diffusion_pytorch_model.safetensors", folder / "diffusion_pytorch_model.safetensors");
    std::string text = read_file(source / "config.json", 1 << 16);
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write_file_whole(folder / "config.json", text.replace(at, from.size(), to));
    return folder.string();
  }
  testing::TemporaryFolder folder_;
};

TEST_F(ComponentFilesTest, OriginalNamesGiveTheSameVelocityWithAndWithoutThePrefix) {
  const Tensor want = velocity(options());
  for (const std::string root : {"", "model.diffusion_model."}) {
    std::vector<NamedTensor> tensors = OriginalFlux().tensors;
    for (NamedTensor& named : tensors) named.name = root + named.name;
    const fs::path file = folder_.path() / "flux.safetensors";
    write_safetensors(file, tensors);
    const auto d = compare(velocity(options(file.string())), want);
    EXPECT_EQ(d.over_range, 0) << root << ": " << d.text();
  }
}

// The original transformer as GGUF of mixed types, and the same numbers dequantized.
struct GgufFlux {
  GgufFlux() {
    for (const NamedTensor& named : OriginalFlux().tensors) {
      const bool matrix = named.tensor.shape().rank() == 2 && named.tensor.cols() % 32 == 0;
      const GgmlType type = !matrix                          ? GgmlType::kF32
                            : named.tensor.cols() % 256 == 0 ? GgmlType::kQ4_K
                            : named.tensor.cols() % 64 == 0  ? GgmlType::kQ8_0
                                                             : GgmlType::kQ5_1;
      Tensor values = to_f32(named.tensor), stored = values;
      if (matrix) {
        const Weight weight = encode(values, ggml_type_info(type).scheme, named.name, nullptr);
        stored = to_gguf_blocks(weight, type);
        values = decode(weight);
      }
      blocks.push_back({{named.name, type, named.tensor.shape()}, stored});
      floats.push_back({named.name, values});
    }
  }
  void write(const fs::path& path) const {
    write_gguf(path, {{"general.architecture", GgufValue::text("flux")}}, blocks);
  }
  std::vector<GgufTensor> blocks;
  std::vector<NamedTensor> floats;
};

TEST_F(ComponentFilesTest, GgufBlocksSlicedThroughTheMapStayExact) {
  const GgufFlux flux;
  const fs::path gguf = folder_.path() / "flux-Q4_K.gguf", file = folder_.path() / "flux.safetensors";
  flux.write(gguf);
  write_safetensors(file, flux.floats);
  ModelOptions quantized = options();
  quantized.gguf_model = gguf.string();
  const auto d = compare(velocity(quantized), velocity(options(file.string())));
  EXPECT_LE(d.over_range, 1e-5) << d.text();
  quantized.gguf_model = folder_.path().string() + ":q4_k";
  EXPECT_EQ(message(quantized), "") << "a reference by folder and type";
}

TEST_F(ComponentFilesTest, AT5EncoderInGgufNamesGivesTheSameVelocity) {
  const auto source = open_safetensors(testing::golden("flux-tiny/text_encoder_2"));
  std::vector<GgufTensor> tensors;
  for (const std::string& name : source->names()) {
    std::string theirs = name;
    for (const auto& [ours, with] : std::vector<std::pair<std::string, std::string>>{
             {"encoder.final_layer_norm", "enc.output_norm"},
             {"encoder.block", "enc.blk"},
             {"layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"},
             {"layer.0.SelfAttention.", "attn_"},
             {"layer.0.layer_norm", "attn_norm"},
             {"layer.1.layer_norm", "ffn_norm"},
             {"layer.1.DenseReluDense.wi_0", "ffn_gate"},
             {"layer.1.DenseReluDense.wi_1", "ffn_up"},
             {"layer.1.DenseReluDense.wo", "ffn_down"},
             {"encoder.embed_tokens", "token_embd"},
             {"shared", "token_embd"}}) {
      if (const size_t at = theirs.find(ours); at != std::string::npos) theirs.replace(at, ours.size(), with);
    }
    const Tensor values = to_f32(source->tensor(name));
    const auto same = [&](const GgufTensor& tensor) { return tensor.item.name == theirs; };
    if (std::ranges::none_of(tensors, same)) tensors.push_back({{theirs, GgmlType::kF32, values.shape()}, values});
  }
  write_gguf(folder_.path() / "t5.gguf", {{"general.architecture", GgufValue::text("t5encoder")}}, tensors);
  ModelOptions o = options();
  o.component_files = {{"text_encoder_2", (folder_.path() / "t5.gguf").string()}};
  const auto d = compare(velocity(o), velocity(options()));
  EXPECT_EQ(d.over_range, 0) << d.text();
}

TEST_F(ComponentFilesTest, APlanReadsTheValuesOfASmallCheckpoint) {
  GgufFlux flux;
  const auto damaged = std::ranges::find(flux.blocks, "single_blocks.1.linear2.weight",
                                         [](const GgufTensor& tensor) { return tensor.item.name; });
  ASSERT_NE(damaged, flux.blocks.end());
  damaged->bytes.data<uint8_t>()[0] = 0;
  damaged->bytes.data<uint8_t>()[1] = 0x7e;  // the first scale, f16
  const fs::path gguf = folder_.path() / "flux.gguf";
  flux.write(gguf);
  ThreadPool pool(1);
  Exec exec;
  exec.pool = &pool;
  ModelOptions o = options();
  o.gguf_model = gguf.string();
  try {
    (void)load_model(o, exec, Load::kPlan);
    ADD_FAILURE() << "a NaN scale went unnoticed";
  } catch (const Error& e) {
    EXPECT_TRUE(has(e.what(), "flux.gguf: single_blocks.1.linear2.weight") && has(e.what(), "NaN")) << e.what();
  }
}

TEST_F(ComponentFilesTest, WrongUsageIsNamed) {
  ModelOptions o = options();
  o.component_files = {{"unet", "x"}};
  EXPECT_TRUE(has(message(o, true), "'unet' is no component") && has(message(o, true), "text_encoder_2"));
  o.component_files = {{"vae", "x"}, {"vae", "y"}};
  EXPECT_TRUE(has(message(o, true), "'vae' a second time"));
  write_gguf(folder_.path() / "x.gguf", {{"general.architecture", GgufValue::text("flux")}}, {});
  o.component_files = {{"transformer", "x"}};
  o.gguf_model = (folder_.path() / "x.gguf").string();
  EXPECT_TRUE(has(message(o, true), "--gguf-model: gives the component 'transformer' a second time"));
  o.gguf_model.clear();
  o.load_format = LoadFormat::kDummy;
  EXPECT_TRUE(has(message(o, true), "dummy"));
  EXPECT_TRUE(has(message(options("/no/such/file.safetensors")), "/no/such/file.safetensors"));
}

TEST_F(ComponentFilesTest, AnotherDialectOrArchitectureIsRefusedByName) {
  const fs::path file = folder_.path() / "x.safetensors";
  write_safetensors(file, {{"input_blocks.0.weight", testing::random_tensor(Shape{4, 4}, 1)}});
  const std::string dialect = message(options(file.string()));
  EXPECT_TRUE(has(dialect, "no dialect that transformer knows") && has(dialect, "diffusers") &&
              has(dialect, "original"))
      << dialect;
  const fs::path gguf = folder_.path() / "x.gguf";
  write_gguf(gguf, {{"general.architecture", GgufValue::text("sd3")}},
             {{{"a.weight", GgmlType::kF32, Shape{2, 2}}, testing::random_tensor(Shape{2, 2}, 1)}});
  EXPECT_TRUE(has(message(options(gguf.string())), "'sd3'"));
}

TEST_F(ComponentFilesTest, AFolderOfItsOwnMustDescribeTheSameNetwork) {
  EXPECT_EQ(message(options(folder_with_config("{", "{"))), "");
  for (const auto& [from, to, words] :
       {std::tuple{"\"num_layers\": 2", "\"num_layers\": 1", std::vector<std::string>{"num_layers: is 1", "2, as in"}},
        std::tuple{"\"joint_attention_dim\": 64", "\"joint_attention_dim\": 32",
                   std::vector<std::string>{"joint_attention_dim: is 32", "64"}},
        std::tuple{"\"guidance_embeds\": true", "\"guidance_embeds\": false",
                   std::vector<std::string>{"another network"}},
        std::tuple{"FluxTransformer2DModel", "SD3Transformer2DModel",
                   std::vector<std::string>{"SD3Transformer2DModel"}}}) {
    fs::remove_all(folder_.path() / "own");
    const std::string text = message(options(folder_with_config(from, to)));
    EXPECT_TRUE(has(text, "own/config.json")) << text;
    for (const std::string& word : words) EXPECT_TRUE(has(text, word)) << text;
  }
}

TEST_F(ComponentFilesTest, TheQuantizationOfAReplacementComesFromItsOwnConfig) {
  const std::string folder = folder_with_config("{", R"({"quantization_config": {"quant_method": "superquant"},)");
  EXPECT_TRUE(has(message(options(folder)), "superquant"));
}

}  // namespace
}  // namespace omni
