// Text models against what transformers computed (tests/golden/README.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "checkpoint/checkpoint.h"
#include "nn/ledger.h"
#include "omni/engine.h"
#include "support/support.h"

namespace omni {
namespace {

constexpr double kTolerance = 1e-4;  // absolute, f32 against f32

struct Written {
  TextDone done;
  std::string failure;
  bool usage = false;
};

Written write(Engine& engine, Request request) {
  Written out;
  engine.submit(std::move(request));
  engine.run([&](const Event& event) {
    if (const auto* done = std::get_if<TextDone>(&event)) out.done = *done;
    if (const auto* failed = std::get_if<Failed>(&event)) {
      out.failure = failed->message;
      out.usage = failed->usage;
    }
  });
  return out;
}

std::vector<int32_t> ids_of(const Tensor& tensor) {
  const int64_t* first = tensor.data<int64_t>();
  return std::vector<int32_t>(first, first + tensor.shape().count());
}

ModelOptions f32_options(const std::string& name) {
  return {.model = testing::golden("text/" + name).string(), .compute = ComputeType::kF32};
}

class TextGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TextGolden, LogitsAndGreedyTokensAgreeInF32) {
  const auto file = open_safetensors(testing::golden(std::string("text/") + GetParam() + "/golden.safetensors"));
  ModelOptions options = f32_options(GetParam());
  options.quantization = R"({"method": "none", "dequantize": true})";  // recorded without quantized activations
  Engine engine(options);
  const std::vector<int32_t> prompt = ids_of(file->tensor("input_ids")), all = ids_of(file->tensor("greedy_ids"));
  const std::vector<int32_t> want(all.begin() + static_cast<int64_t>(prompt.size()), all.end());
  const Written got = write(engine, TextRequest{.prompt_ids = prompt,
                                                .max_tokens = static_cast<int>(want.size()),
                                                .ignore_end = true,
                                                .prompt_logits = true});
  ASSERT_EQ(got.failure, "");
  const Tensor logits = file->tensor("logits");
  ASSERT_EQ(static_cast<int64_t>(got.done.prompt_logits.size()), logits.shape().count());
  int64_t worst = 0;
  const auto error = [&](int64_t i) {
    return std::abs(got.done.prompt_logits[static_cast<size_t>(i)] - logits.f32()[i]);
  };
  for (int64_t i = 0; i < logits.shape().count(); ++i) worst = error(i) > error(worst) ? i : worst;
  EXPECT_LE(error(worst), kTolerance) << "position " << worst / logits.cols() << ", token " << worst % logits.cols();
  EXPECT_EQ(got.done.token_ids, want);
  EXPECT_EQ(got.done.finish_reason, "length");
}

INSTANTIATE_TEST_SUITE_P(All, TextGolden, ::testing::Values("qwen2-bf16-bias", "ct-nvfp4"), [](const auto& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(TextGeneration, AnswersEachRequestWithItsOwnTokens) {
  Engine engine(f32_options("qwen2-bf16-bias"));
  const TextRequest first{.prompt_ids = {5, 9, 17}, .max_tokens = 6, .ignore_end = true};
  const TextRequest second{.prompt_ids = {80, 3}, .max_tokens = 6, .ignore_end = true};
  const std::vector<int32_t> alone = write(engine, first).done.token_ids;
  write(engine, second);
  EXPECT_EQ(write(engine, first).done.token_ids, alone);
}

TEST(TextGeneration, RefusesWhatARequestCannotAsk) {
  Engine engine(f32_options("qwen2-bf16-bias"));
  const struct {
    Request request;
    const char* words;
  } cases[] = {
      {ImageRequest{.prompt = "a cat"}, "this model writes text"},
      {TextRequest{}, "prompt: is empty"},
      {TextRequest{.prompt_ids = {1, 256}}, "has id 256 at 1 (expected ids below 256)"},
      {TextRequest{.prompt_ids = {-1}}, "has id -1 at 0"},
      {TextRequest{.prompt_ids = {1}, .max_tokens = 0}, "max_tokens: is 0"},
      {TextRequest{.prompt_ids = std::vector<int32_t>(512, 7)}, "has 512 tokens (expected fewer than the model's 512"},
      {TextRequest{.prompt = "x", .prompt_ids = {1}}, "as text and as token ids"},
  };
  for (const auto& c : cases) {
    const Written got = write(engine, c.request);
    EXPECT_NE(got.failure.find(c.words), std::string::npos) << got.failure;
    EXPECT_TRUE(got.usage) << got.failure;
  }
  EXPECT_EQ(write(engine, TextRequest{.prompt_ids = {1}, .max_tokens = 2, .ignore_end = true}).failure, "");
}

TEST(TextGeneration, AQuantizedModelIsLoadedByTheWishThatNamesIt) {
  ModelOptions options = f32_options("qwen2-bf16-bias");
  options.quantization = "int8";
  const Engine engine(options);
  int quantized = 0;
  for (const LedgerRow& row : engine.ledger().rows) {
    EXPECT_EQ(row.quantized, row.role == Role::kOrdinary) << row.path;
    quantized += row.quantized ? 1 : 0;
  }
  EXPECT_EQ(quantized, 14);
}

}  // namespace
}  // namespace omni
