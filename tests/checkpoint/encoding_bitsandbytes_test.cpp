#include <gtest/gtest.h>

#include "small_checkpoint.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using namespace omni::testing;

TEST(BitsandbytesEncoding, RecordedCheckpointsDecodeBitForBit) {
  expect_golden("bnb-nf4", "nf4", "bitsandbytes");
  expect_golden("flux-tiny-nf4", "nf4", "bitsandbytes");
}

// The tool's value is code * SCB / 127, rounded twice; a scale of SCB / 127 is within a unit in the last place.
TEST(BitsandbytesEncoding, TheRecordedInt8IsWithinOneRounding) {
  const Weight weight = OpenedCheckpoint(SmallCheckpoint::load("bnb-int8")).read();
  EXPECT_EQ(weight.scheme.text(), "int8_weight_only");
  const Tensor got = decode(weight), want = read_npy(golden("checkpoints") / "bnb-int8" / "deq.npy");
  for (int64_t i = 0; i < want.shape().count(); ++i)
    ASSERT_NEAR(got.f32()[i], want.f32()[i], std::fabs(want.f32()[i]) * 1.5e-7f) << i;
}

struct Layer {
  int64_t rows, cols, block;
  bool fp4;
};

// A weight made by another packer: codes over the flattened matrix, high nibble first.
SmallCheckpoint pack(const Layer& layer, Tensor& want) {
  const int64_t count = layer.rows * layer.cols, blocks = (count + layer.block - 1) / layer.block;
  const auto codes = some_codes(1, static_cast<size_t>(count), 16)[0];
  const std::array<float, 16>& table = layer.fp4 ? kFP4BNBValues : kNF4Values;
  Tensor bytes(DType::kU8, Shape{count / 2, 1}), absmax(DType::kF32, Shape{blocks}), map(DType::kF32, Shape{16});
  for (int64_t i = 0; i < blocks; ++i) absmax.f32()[i] = 0.1f + 0.01f * static_cast<float>(i);
  std::copy(table.begin(), table.end(), map.f32());
  want = Tensor(DType::kF32, Shape{layer.rows, layer.cols});
  for (int64_t i = 0; i < count; ++i) {
    const auto code = static_cast<size_t>(codes[static_cast<size_t>(i)]);
    uint8_t& byte = bytes.data<uint8_t>()[i / 2];
    byte = static_cast<uint8_t>(i % 2 == 0 ? code << 4 : byte | code);
    want.f32()[i] = table[code] * absmax.f32()[i / layer.block];
  }
  const std::string type = layer.fp4 ? "fp4" : "nf4";
  const std::string state = R"({"quant_type": ")" + type + R"(", "blocksize": )" + std::to_string(layer.block) +
                            R"(, "dtype": "bfloat16", "shape": [)" + std::to_string(layer.rows) + ", " +
                            std::to_string(layer.cols) + "]}";
  SmallCheckpoint out;
  out.tensors = {{"x.weight", bytes},
                 {"x.weight.absmax", absmax},
                 {"x.weight.quant_map", map},
                 {"x.weight.quant_state.bitsandbytes__" + type, text_of(state)}};
  out.config = R"({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true}})";
  return out;
}

TEST(BitsandbytesEncoding, Fp4AndBlocksThatEndWithinRowsRead) {
  for (const Layer& layer : {Layer{4, 64, 64, true}, Layer{4, 128, 64, true}, Layer{6, 96, 64, false},
                             Layer{8, 32, 64, true}, Layer{5, 48, 128, false}, Layer{3, 20, 64, false}}) {
    Tensor want;
    const OpenedCheckpoint opened(pack(layer, want));
    SCOPED_TRACE(opened.read().scheme.text());
    EXPECT_EQ(opened.read().scheme.codes, layer.fp4 ? DType::kFP4BNB : DType::kNF4);
    expect_bits(decode(opened.read()), want);
  }
}

TEST(BitsandbytesEncoding, CodesMayBeKeptInAnyType) {
  Tensor want;
  SmallCheckpoint small = pack({4, 64, 64, false}, want);
  Tensor words(DType::kBF16, Shape{64, 1});
  std::memcpy(words.raw(), small.at("x.weight").raw(), 128);
  small.at("x.weight") = words;
  expect_bits(decode(OpenedCheckpoint(small).read()), want);
}

TEST(BitsandbytesEncoding, DamageOf4BitIsNamed) {
  expect_refusals(
      SmallCheckpoint::load("bnb-nf4"),
      {
          {"a short absmax",
           [](SmallCheckpoint& c) { c.at("t.absmax") = Tensor(DType::kU8, Shape{127}); },
           {"k_proj.weight.absmax", "127 values", "128 (64 x 128 in blocks of 64)"}},
          {"no absmax", [](SmallCheckpoint& c) { c.drop("t.absmax"); }, {"k_proj.weight.absmax", "no such tensor"}},
          {"no state", [](SmallCheckpoint& c) { c.drop("nf4"); }, {"bitsandbytes__nf4", "no such tensor"}},
          {"a cut state",
           [](SmallCheckpoint& c) { c.at("nf4") = text_of(R"({"quant_type": "nf4", "block)"); },
           {"bitsandbytes__nf4", "is not JSON"}},
          {"a state of another type",
           [](SmallCheckpoint& c) {
             c.named("nf4").name = "model.layers.0.self_attn.k_proj.weight.quant_state.bitsandbytes__fp4";
           },
           {"quant_type", "nf4", "fp4"}},
          {"another shape",
           [](SmallCheckpoint& c) { c.at("nf4") = text_of(R"({"blocksize": 64, "shape": [64, 64]})"); },
           {"k_proj.weight: holds 4096 bytes", "2048"}},
          {"a shape of 2^60",
           [](SmallCheckpoint& c) {
             c.at("nf4") = text_of(R"({"blocksize": 64, "shape": [1152921504606846976, 16]})");
           },
           {"shape"}},
          {"a shape of one number",
           [](SmallCheckpoint& c) { c.at("nf4") = text_of(R"({"blocksize": 64, "shape": [64]})"); },
           {"shape"}},
          {"a block of 0",
           [](SmallCheckpoint& c) { c.at("nf4") = text_of(R"({"blocksize": 0, "shape": [64, 128]})"); },
           {"blocksize"}},
          {"a block of 48",
           [](SmallCheckpoint& c) { c.at("nf4") = text_of(R"({"blocksize": 48, "shape": [64, 128]})"); },
           {"blocksize", "48", "power of two"}},
          {"no codes", [](SmallCheckpoint& c) { c.drop("k_proj.weight"); }, {"k_proj.weight", "no such tensor"}},
          {"another table",
           [](SmallCheckpoint& c) { c.at("t.quant_map").f32()[3] = 0.5f; },
           {"quant_map", "code 3 is 0.5"}},
          {"no outer absmax", [](SmallCheckpoint& c) { c.drop("nested_absmax"); }, {"nested_absmax", "no such tensor"}},
          {"a short outer table",
           [](SmallCheckpoint& c) { c.at("nested_quant_map") = Tensor(DType::kF32, Shape{16}); },
           {"nested_quant_map", "16 values", "256"}},
          {"a negative outer absmax",
           [](SmallCheckpoint& c) { c.at("nested_absmax").f32()[0] = -1; },
           {"nested_absmax", "-1"}},
          {"a NaN in the outer table",
           [](SmallCheckpoint& c) { c.at("nested_quant_map").f32()[7] = std::numeric_limits<float>::quiet_NaN(); },
           {"nested_quant_map", "NaN"}},
          {"a listed layer",
           [](SmallCheckpoint& c) {
             c.edit("\"llm_int8_skip_modules\": null", "\"llm_int8_skip_modules\": [\"k_proj\"]");
           },
           {"k_proj.weight", "llm_int8_skip_modules"}},
          {"a float neighbour",
           [](SmallCheckpoint& c) {
             c.tensors.push_back({"model.layers.0.self_attn.v_proj.weight", random_tensor(Shape{4, 4}, 1)});
           },
           {"v_proj.weight", "float weight"}},
      });
}

TEST(BitsandbytesEncoding, DamageOfInt8IsNamed) {
  expect_refusals(SmallCheckpoint::load("bnb-int8"),
                  {
                      {"no scale", [](SmallCheckpoint& c) { c.drop("SCB"); }, {"k_proj.SCB", "no such tensor"}},
                      {"no codes", [](SmallCheckpoint& c) { c.drop(".weight"); }, {"k_proj.weight", "no such tensor"}},
                      {"a short scale",
                       [](SmallCheckpoint& c) { c.at("SCB") = Tensor(DType::kF32, Shape{63}); },
                       {"k_proj.SCB", "[63]", "[64, 1]"}},
                      {"a NaN",
                       [](SmallCheckpoint& c) { c.at("SCB").f32()[5] = std::numeric_limits<float>::quiet_NaN(); },
                       {"k_proj.SCB", "NaN"}},
                      {"a negative scale", [](SmallCheckpoint& c) { c.at("SCB").f32()[5] = -1; }, {"k_proj.SCB", "-1"}},
                      {"a zero scale", [](SmallCheckpoint& c) { c.at("SCB").f32()[5] = 0; }, {"k_proj.SCB", "holds 0"}},
                      {"the order of a GPU",
                       [](SmallCheckpoint& c) { *c.at("weight_format").data<uint8_t>() = 2; },
                       {"weight_format", "is 2"}},
                  });
}

}  // namespace
}  // namespace omni
