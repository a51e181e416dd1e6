#include "pipelines/text_generation.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "pipelines/pipeline_list.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPromptPiece = 512;  // tokens of the prompt a step reads: bounds the scratch memory

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool folder_has_chat_template(const fs::path& folder) {
  std::error_code failed;
  if (fs::exists(folder / "chat_template.jinja", failed)) return true;
  const fs::path config = folder / "tokenizer_config.json";
  return fs::exists(config, failed) && JsonObject::load(config).has("chat_template");
}

// generation_config.json may name more end tokens than config.json.
void add_end_tokens(const fs::path& folder, LlmConfig& llm) {
  std::error_code failed;
  const fs::path path = folder / "generation_config.json";
  if (!fs::exists(path, failed)) return;
  for (const int32_t id : llm_end_tokens(JsonObject::load(path), llm.vocab)) {
    if (std::ranges::find(llm.end_tokens, id) == llm.end_tokens.end()) llm.end_tokens.push_back(id);
  }
}

int32_t largest_of(const Tensor& logits) {
  const float* first = logits.f32();
  return static_cast<int32_t>(std::max_element(first, first + logits.cols()) - first);
}

}  // namespace

TextModelConfig TextModelConfig::load(const ModelFiles& files, const ComponentFiles& elsewhere) {
  if (!files.config) {
    const std::unique_ptr<Checkpoint> checkpoint = open_checkpoint(files.path);
    TextModelConfig c{.path = files.path,
                      .weights = {files.path, JsonObject::parse("{}", files.path.string())},
                      .llm = LlmConfig::from_gguf(*checkpoint),
                      .has_chat_template = !checkpoint->metadata("tokenizer.chat_template").empty()};
    if (!elsewhere.empty()) {
      throw usage_error("--component", "gives the weights of " + files.path.string() + ", which holds its own",
                        "a folder with config.json as MODEL");
    }
    return c;
  }
  TextModelConfig c{.path = files.path,
                    .weights = find_component(elsewhere, files.path, *files.config, "model"),
                    .llm = LlmConfig::from_json(*files.config),
                    .has_chat_template = folder_has_chat_template(files.path)};
  add_end_tokens(files.path, c.llm);
  return c;
}

PipelineScope TextGeneration::scope() {
  return pipeline_scope(PipelineKind::kText, {"model"});
}

TextGeneration::TextGeneration(const TextModelConfig& config, LoadContext& context, LoadFormat format)
    : config_(config) {
  WeightSource source = format == LoadFormat::kDummy ? WeightSource::dummy("model", 1)
                                                     : WeightSource("model", open_checkpoint(config.weights.weights),
                                                                    config.weights.config, Llm::names(config.llm));
  model_.emplace(Scope(context, source), config.llm);
  for (const std::string& name : source.unread()) unread_.push_back(name);
}

void TextGeneration::submit(uint64_t id, Request request) {
  auto* wish = std::get_if<TextRequest>(&request);
  if (wish == nullptr) throw usage_error("request", "asks for a picture, and this model writes text", "a text request");
  TextJob job;
  job.request = id;
  job.wish = std::move(*wish);
  jobs_.push_back(std::move(job));
}

std::vector<int32_t> TextGeneration::prompt_ids(const TextRequest& wish) {
  if (!wish.prompt_ids.empty()) {
    if (!wish.prompt.empty()) throw usage_error("prompt", "is given as text and as token ids", "one of the two");
    return wish.prompt_ids;
  }
  if (wish.prompt.empty()) throw usage_error("prompt", "is empty", "a text, or token ids");
  if (config_.has_chat_template && wish.chat_template) {
    throw usage_error("prompt", "needs the model's chat template, which this version does not apply",
                      "--no-chat-template to feed the text as it is, or --prompt-ids");
  }
  if (!fs::is_directory(config_.path)) {
    throw usage_error("prompt", "is text, and the vocabulary of a GGUF file is not read by this version",
                      "--prompt-ids");
  }
  if (!tokenizer_) tokenizer_ = Tokenizer::load(config_.path);
  return tokenizer_->encode(wish.prompt, INT32_MAX, PadTo::kNothing).ids;
}

void TextGeneration::begin(Exec& e, TextJob& job) {
  const LlmConfig& c = config_.llm;
  job.tokens = prompt_ids(job.wish);
  for (size_t i = 0; i < job.tokens.size(); ++i) {
    if (job.tokens[i] >= 0 && job.tokens[i] < c.vocab) continue;
    throw usage_error("prompt", "has id " + std::to_string(job.tokens[i]) + " at " + std::to_string(i),
                      "ids below " + std::to_string(c.vocab));
  }
  const auto context = static_cast<size_t>(c.positions);
  if (job.tokens.size() >= context) {
    throw usage_error("prompt", "has " + std::to_string(job.tokens.size()) + " tokens",
                      "fewer than the model's " + std::to_string(context) + " positions");
  }
  if (job.wish.max_tokens < 1)
    throw usage_error("max_tokens", "is " + std::to_string(job.wish.max_tokens), "1 or more");
  job.limit = std::min(context, job.tokens.size() + static_cast<size_t>(job.wish.max_tokens));
  job.cache = model_->make_cache(static_cast<int64_t>(job.limit), e.compute);
  job.next = Tensor(DType::kF32, Shape{1, c.vocab});
  job.prompt = job.tokens.size();
}

// The next piece of the prompt; after the last, `next` holds the logits of the first token to come.
void TextGeneration::read_prompt(Exec& e, TextJob& job) const {
  const auto start = std::chrono::steady_clock::now();
  const auto done = static_cast<size_t>(job.cache.tokens());
  const size_t count = std::min(kPromptPiece, job.prompt - done);
  const std::span<const int32_t> piece = std::span(job.tokens).subspan(done, count);
  const bool last = done + count == job.prompt;
  const auto rows = static_cast<int64_t>(job.wish.prompt_logits ? count : last ? 1 : 0);
  Tensor logits =
      job.wish.prompt_logits ? Tensor(DType::kF32, Shape{rows, config_.llm.vocab}) : job.next.row_range(0, rows);
  (*model_)(e, piece, job.cache, logits);
  if (job.wish.prompt_logits) {
    job.logits.insert(job.logits.end(), logits.f32(), logits.f32() + logits.shape().count());
    std::copy_n(logits.f32() + (rows - 1) * logits.cols(), logits.cols(), job.next.f32());
  }
  job.timings.prefill_s += seconds_since(start);
}

void TextGeneration::add_token(Exec& e, TextJob& job) const {
  const auto start = std::chrono::steady_clock::now();
  job.tokens.push_back(largest_of(job.next));
  if (!ended(job)) (*model_)(e, std::span(job.tokens).last(1), job.cache, job.next);
  job.timings.decode_s += seconds_since(start);
}

bool TextGeneration::ended(const TextJob& job) const {
  if (job.tokens.size() >= job.limit) return true;
  const std::vector<int32_t>& ends = config_.llm.end_tokens;
  return !job.wish.ignore_end && job.tokens.size() > job.prompt &&
         std::ranges::find(ends, job.tokens.back()) != ends.end();
}

bool TextGeneration::step(Exec& e, const EventSink& sink) {
  if (jobs_.empty()) return false;
  TextJob& job = jobs_.front();
  try {
    if (job.prompt == 0) begin(e, job);
    if (job.cache.tokens() < static_cast<int64_t>(job.prompt)) {
      read_prompt(e, job);
      return true;
    }
    add_token(e, job);
    sink(Progress{job.request, 0, static_cast<int>(job.tokens.size() - job.prompt),
                  static_cast<int>(job.limit - job.prompt)});
    if (!ended(job)) return true;
    TextDone done{.request = job.request,
                  .token_ids = std::vector(job.tokens.begin() + static_cast<int64_t>(job.prompt), job.tokens.end()),
                  .finish_reason = job.tokens.size() >= job.limit ? "length" : "stop",
                  .prompt_tokens = static_cast<int>(job.prompt),
                  .prompt_logits = std::move(job.logits),
                  .timings = job.timings};
    jobs_.pop_front();
    sink(done);
    sink(Finished{done.request});
  } catch (const Error& error) {
    const Failed failed{job.request, error.what(), error.fault() == Fault::kUsage};
    jobs_.pop_front();
    sink(failed);
  }
  return true;
}

}  // namespace omni
