// Linears that Scope merges though their parts are stored differently: each part must give what it gives alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nn/linear_support.h"
#include "ops/ops.h"
#include "quant/codec.h"

namespace omni {
namespace {

using testing::Component;
using testing::message;
using testing::random_tensor;

constexpr int64_t kIn = 64;
const std::vector<std::string> kNames = {"q", "k", "v", "g"};
const std::vector<int64_t> kOuts = {40, 16, 24, 16};

// q and k: int8 with inputs quantized per token; v: bf16; g: f32.
class MixedStorage : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    std::vector<NamedTensor> tensors;
    for (size_t i = 0; i < kNames.size(); ++i) {
      const auto seed = static_cast<uint32_t>(i + 1);
      const Tensor values = random_tensor(Shape{kOuts[i], kIn}, seed);
      tensors.push_back({kNames[i] + ".bias", random_tensor(Shape{kOuts[i]}, seed + 10)});
      if (i >= 2) {
        tensors.push_back({kNames[i] + ".weight", i == 2 ? cast(values, DType::kBF16) : values});
        continue;
      }
      const Weight weight = encode(values, find_preset("int8")->scheme, kNames[i], nullptr);
      tensors.push_back({kNames[i] + ".weight", weight.codes});
      tensors.push_back({kNames[i] + ".weight_scale", weight.scales});
    }
    write_safetensors(file_, tensors);
  }
  Component open() const { return Component(file_, kConfig, GetParam()); }

  // y = x W^T of `linear` as its own input format has it, into columns [begin, begin + out) of y.
  static void run(Component& c, const Linear& linear, const Tensor& x, Tensor y, Epilogue epilogue) {
    const Scratch::Mark mark(c.exec.scratch);
    linear.into(c.exec, ops::to(c.exec, x, linear.wants()), y, epilogue);
  }

  static constexpr const char* kConfig = R"({"quantization_config": {
    "quant_method": "compressed-tensors", "format": "int-quantized", "ignore": ["v", "g"],
    "config_groups": {"group_0": {"targets": ["Linear"],
      "weights": {"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true, "dynamic": false},
      "input_activations": {"num_bits": 8, "type": "int", "strategy": "token", "symmetric": true, "dynamic": true}}}}})";
  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "x.safetensors";
};

TEST_P(MixedStorage, EveryPartGivesWhatItGivesAloneWithBiasGateAndResidual) {
  Component c = open();
  const Linear merged = c.scope().merged_linear(kNames, kOuts, kIn, Bias::kYes);
  ASSERT_EQ(merged.out(), 96);
  EXPECT_EQ(merged.wants().quant, ActQuant::kNone) << "parts that want different inputs get floats";
  EXPECT_EQ(merged.wants().storage, GetParam());
  const Tensor gate = random_tensor(Shape{96}, 21);
  for (const int64_t tokens : {1, 5}) {
    const Tensor x = cast(random_tensor(Shape{tokens, kIn}, 20), GetParam());
    const Tensor start = random_tensor(Shape{tokens, 96}, 22);
    for (const bool in_place : {false, true}) {
      Tensor got = to_f32(start), want = to_f32(start);
      run(c, merged, x, got,
          in_place ? Epilogue{.gate = gate.f32(), .residual = &got} : Epilogue{.act = Act::kGeluTanh});
      int64_t begin = 0;
      for (size_t i = 0; i < kNames.size(); ++i, begin += kOuts[i - 1]) {
        const Linear alone = c.scope().linear(kNames[i], kIn, kOuts[i], Bias::kYes);
        Tensor part = want.columns(begin, kOuts[i]);
        run(c, alone, x, part,
            in_place ? Epilogue{.gate = gate.f32() + begin, .residual = &part} : Epilogue{.act = Act::kGeluTanh});
      }
      const auto d = testing::compare(got, want);
      EXPECT_LE(d.over_range, 1e-6) << (in_place ? "gate and residual: " : "activation: ") << d.text();
    }
  }
}

TEST_P(MixedStorage, TheLedgerHasARowAPartWithItsOwnStorageAndKernel) {
  Component c = open();
  c.context.mode = LoadMode::kPlan;
  (void)c.scope().merged_linear(kNames, kOuts, kIn, Bias::kYes);
  std::vector<std::string> rows;
  for (const LedgerRow& row : c.ledger.rows) {
    if (row.role == Role::kNever) continue;
    rows.push_back(row.path + " " + row.target);
    EXPECT_FALSE(row.kernel.empty());
    EXPECT_FALSE(row.quantized);
  }
  EXPECT_EQ(rows, (std::vector<std::string>{"transformer.q int8", "transformer.k int8", "transformer.v bf16",
                                            "transformer.g f32"}));
}

INSTANTIATE_TEST_SUITE_P(Compute, MixedStorage, ::testing::Values(DType::kF32, DType::kBF16),
                         [](const auto& info) { return std::string(dtype_name(info.param)); });

TEST(MergedLinear, FloatPartsOfOneDtypeAreOneMatrix) {
  const testing::TemporaryFolder folder;
  write_safetensors(folder.path() / "x.safetensors",
                    {{"a.weight", random_tensor(Shape{3, 8}, 1)}, {"b.weight", random_tensor(Shape{5, 8}, 2)}});
  Component c(folder.path() / "x.safetensors", "{}", DType::kF32);
  const Linear merged = c.scope().merged_linear({"a", "b"}, {3, 5}, 8, Bias::kNo);
  const Tensor x = random_tensor(Shape{2, 8}, 3);
  Tensor got(DType::kF32, Shape{2, 8});
  merged.into(c.exec, float_activation(x), got);
  for (int64_t row = 0; row < 2; ++row) {
    for (int64_t col = 0; col < 8; ++col) {
      const Tensor w = random_tensor(col < 3 ? Shape{3, 8} : Shape{5, 8}, col < 3 ? 1 : 2);
      double sum = 0;
      for (int64_t k = 0; k < 8; ++k)
        sum += static_cast<double>(x.f32()[row * 8 + k]) * w.f32()[(col < 3 ? col : col - 3) * 8 + k];
      EXPECT_NEAR(got.f32()[row * 8 + col], sum, 1e-5) << row << ", " << col;
    }
  }
}

// fp8 in blocks of 2 x 3: no fast kernel multiplies groups of 3 columns.
class Fallback : public ::testing::Test {
 protected:
  void SetUp() override {
    weight_ = encode(random_tensor(Shape{4, 9}, 1), *parse_scheme("fp8/2x3"), "w", nullptr);
    write_safetensors(file_, {{"w.weight", weight_.codes}, {"w.weight_scale_inv", weight_.scales}});
  }
  Component open() const {
    return Component(file_, R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [2, 3]}})",
                     DType::kF32);
  }
  Weight weight_;
  testing::TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "x.safetensors";
};

TEST_F(Fallback, ASchemeWithoutAFastKernelIsDequantizedAndTheLedgerSaysSo) {
  Component c = open();
  const Linear linear = c.scope().linear("w", 9, 4, Bias::kNo);
  const LedgerRow& row = c.ledger.rows.at(0);
  EXPECT_TRUE(row.fallback);
  EXPECT_EQ(row.stored, weight_.scheme.text());
  const Tensor x = random_tensor(Shape{3, 9}, 2), values = decode(weight_);
  Tensor got(DType::kF32, Shape{3, 4});
  linear.into(c.exec, ops::to(c.exec, x, linear.wants()), got);
  for (int64_t i = 0; i < 12; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < 9; ++k) sum += static_cast<double>(x.f32()[i / 4 * 9 + k]) * values.f32()[i % 4 * 9 + k];
    EXPECT_NEAR(got.f32()[i], sum, 1e-5 * std::max(1.0, std::fabs(sum))) << i;
  }
}

TEST_F(Fallback, StrictMakesItAnErrorThatNamesTheWeightAndTheScheme) {
  Component c = open();
  c.context.strict = Strict::kYes;
  c.context.mode = LoadMode::kPlan;
  const std::string text = message([&] { (void)c.scope().linear("w", 9, 4, Bias::kNo); });
  EXPECT_NE(text.find("transformer.w: "), std::string::npos) << text;
  EXPECT_NE(text.find(weight_.scheme.text()), std::string::npos) << text;
  EXPECT_NE(text.find("--strict"), std::string::npos) << text;
}

// Wants the weights that the plan changes and keeps what both walks tell.
class Sink final : public WeightSink {
 public:
  void plan_weight(const WeightSource&, const PlannedWeight& weight) override {
    planned_names.push_back(weight.name);
    if (weight.changed) changed.push_back(weight.name);
  }
  void plan_tensor(const WeightSource&, std::string_view name, const Shape&) override { tensors.emplace_back(name); }
  void planned() override {}
  bool wants(const WeightSource&, std::string_view name) const override {
    return std::ranges::find(changed, name) != changed.end();
  }
  void take(WeightSource& source, std::string_view name, const Weight& weight) override {
    EXPECT_EQ(source.component(), "transformer");
    names.emplace_back(name);
    weights.push_back(weight);
  }
  void take_tensor(WeightSource&, std::string_view name, const Shape&) override { tensors.emplace_back(name); }
  std::vector<std::string> planned_names, changed, tensors;
  std::vector<std::string> names;
  std::vector<Weight> weights;
};

TEST(Export, TheSinkGetsTheCanonicalWeightsThatThePlanChangesAndNoOthers) {
  const testing::TemporaryFolder folder;
  const Tensor a = random_tensor(Shape{4, 64}, 1), b = random_tensor(Shape{6, 64}, 2);
  write_safetensors(folder.path() / "x.safetensors", {{"block.a.weight", a},
                                                      {"block.b.weight", b},
                                                      {"block.head.weight", b},
                                                      {"block.norm.weight", random_tensor(Shape{64}, 3)}});
  Component c(folder.path() / "x.safetensors", "{}", DType::kBF16, "int8");
  Sink sink;
  c.context.sink = &sink;
  for (const LoadMode mode : {LoadMode::kPlan, LoadMode::kExport}) {
    c.context.mode = mode;
    c.ledger.rows.clear();
    const Scope s = c.scope() / "block";
    (void)s.merged_linear({"a", "b"}, {4, 6}, 64, Bias::kNo);
    (void)s.linear("head", 64, 6, Bias::kNo, Role::kSensitive);
    EXPECT_TRUE(s.vector("norm.weight", 64).empty());
  }
  EXPECT_EQ(sink.planned_names, (std::vector<std::string>{"block.a", "block.b", "block.head"}));
  EXPECT_EQ(sink.tensors, (std::vector<std::string>{"block.norm.weight", "block.norm.weight"}));
  ASSERT_EQ(sink.names, (std::vector<std::string>{"block.a", "block.b"}));
  const QuantScheme scheme = find_preset("int8")->scheme;
  for (const auto& [values, got] : {std::pair{a, sink.weights[0]}, std::pair{b, sink.weights[1]}}) {
    const Weight want = encode(values, scheme, "w", nullptr);
    EXPECT_EQ(got.scheme, scheme);
    EXPECT_EQ(got.layout, Layout::kCanonical);
    EXPECT_EQ(testing::compare(decode(got), decode(want)).over_range, 0);
  }
  EXPECT_GT(c.ledger.rows.at(0).error, 0) << "the rounding error is noted";
}

}  // namespace
}  // namespace omni
