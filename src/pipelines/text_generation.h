#pragma once
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "models/llm/llm.h"
#include "omni/engine.h"
#include "pipelines/component_files.h"
#include "pipelines/pipeline.h"
#include "text/tokenizer.h"

namespace omni {

struct ModelFiles;

// What a text model's folder or GGUF file says, before any weight is touched.
struct TextModelConfig {
  std::filesystem::path path;
  ComponentPlace weights;  // where they lie, and the config that says how they are stored
  LlmConfig llm;
  bool has_chat_template = false;
  // elsewhere: weights that do not come from the model's own files. Throws Error.
  static TextModelConfig load(const ModelFiles& files, const ComponentFiles& elsewhere = {});
};

// One text on its way: the prompt is read in pieces, then every step adds a token.
struct TextJob {
  uint64_t request = 0;
  TextRequest wish;
  std::vector<int32_t> tokens;  // the prompt, then what was generated
  size_t prompt = 0;            // tokens of the prompt; 0: not begun
  size_t limit = 0;             // tokens at which it ends
  KvCache cache;
  Tensor next;                // [1, vocab] logits
  std::vector<float> logits;  // of every prompt position, when asked
  TextTimings timings;
};

// Prompt -> text with a decoder-only transformer, greedy, one request after the other.
class TextGeneration final : public Pipeline {
 public:
  static PipelineScope scope();
  TextGeneration(const TextModelConfig& config, LoadContext& context, LoadFormat format);

  void submit(uint64_t id, Request request) override;
  bool step(Exec& exec, const EventSink& sink) override;
  std::vector<std::string> unread() const override { return unread_; }

  const Llm& model() const { return *model_; }

 private:
  void begin(Exec& exec, TextJob& job);
  void read_prompt(Exec& exec, TextJob& job) const;
  void add_token(Exec& exec, TextJob& job) const;
  std::vector<int32_t> prompt_ids(const TextRequest& wish);
  bool ended(const TextJob& job) const;

  TextModelConfig config_;
  std::optional<Tokenizer> tokenizer_;  // loaded by the first prompt that is text
  std::optional<Llm> model_;
  std::vector<std::string> unread_;
  std::deque<TextJob> jobs_;
};

}  // namespace omni
