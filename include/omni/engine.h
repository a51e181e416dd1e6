#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

// The public C++ API: load a model under a quantization wish, submit requests, receive events.
namespace omni {

struct Ledger;
class Tap;

enum class ComputeType : uint8_t { kBF16, kF32 };
enum class LoadFormat : uint8_t { kCheckpoint, kDummy };

struct ModelOptions {
  std::string model;                   // folder, GGUF reference, or a bundled model ("mini-flux")
  std::string quantization;            // a name, a scheme text or JSON; "" = as the checkpoint stores it
  std::string diffusion_quantization;  // the same, for a model that has diffusion stages; not beside the other
  std::vector<std::string> ignored_layers;
  ComputeType compute = ComputeType::kBF16;
  LoadFormat load_format = LoadFormat::kCheckpoint;
  // Weights from elsewhere: of a component by its name (file or folder), and of the main component as GGUF.
  std::vector<std::pair<std::string, std::string>> component_files;
  std::string gguf_model;
  std::string pack_cache;  // a folder that keeps quantized, packed weights for the next start; "": none
  // Called while weights load, with bytes of stored weights done and in all; from the loading thread.
  std::function<void(int64_t done, int64_t total)> progress;
  int threads = 0;               // 0: every CPU this process may use
  bool strict = false;           // any fallback is an error
  bool allow_unmatched = false;  // a rule that matches no weight is a warning
};

struct ImageRequest {
  std::string prompt;
  int width = 0, height = 0;      // 0: the model's own size
  int steps = 0;                  // 0: the model's own number
  std::optional<float> guidance;  // none: 3.5
  uint64_t seed = 0;
  int images = 1;               // drawn one after the other from the seed's generator
  int max_sequence_length = 0;  // tokens of the long text encoder; 0: 512, or less if its tokenizer says so
  std::vector<float> noise;     // start latent [channels, height / 8, width / 8] instead of the seed's
};

struct TextRequest {
  std::string prompt;
  std::vector<int32_t> prompt_ids;  // instead of prompt: token ids as they are
  bool chat_template = true;        // false: prompt as it is
  int max_tokens = 128;
  bool ignore_end = false;     // go on to max_tokens
  bool prompt_logits = false;  // TextDone brings the logits of every prompt position
};

using Request = std::variant<ImageRequest, TextRequest>;

// What a model gives, and so which request it takes.
enum class Output : uint8_t { kImage, kText };

// step of steps: denoise steps of a picture, or tokens of a text (steps: at most so many).
struct Progress {
  uint64_t request = 0;
  int image = 0, step = 0, steps = 0;
};
struct ImageTimings {
  double encode_s = 0, denoise_s = 0, decode_s = 0;
};
struct ImageDone {
  uint64_t request = 0;
  int image = 0, width = 0, height = 0;
  std::vector<uint8_t> rgb;
  ImageTimings timings;
};
struct TextTimings {
  double prefill_s = 0, decode_s = 0;
};
struct TextDone {
  uint64_t request = 0;
  std::vector<int32_t> token_ids;  // what was generated, with the end token if one came
  std::string finish_reason;       // "stop" or "length"
  int prompt_tokens = 0;
  std::vector<float> prompt_logits;  // [prompt_tokens, vocabulary], when asked
  TextTimings timings;
};
struct Finished {
  uint64_t request = 0;
};
struct Failed {
  uint64_t request = 0;
  std::string message;  // WHERE: WHAT (expected ...)
  bool usage = false;   // the request was wrong, not the job
};
using Event = std::variant<Progress, ImageDone, TextDone, Finished, Failed>;
using EventSink = std::function<void(const Event&)>;

// Owns one model and the threads that compute it. Used by one thread; throws omni::Error when the model cannot be
// loaded.
class Engine {
 public:
  explicit Engine(const ModelOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  uint64_t submit(Request request);  // checks nothing; what is wrong with it arrives as Failed
  bool step(const EventSink& sink);  // one unit of work; false when there is none
  void run(const EventSink& sink);   // steps until idle

  const Ledger& ledger() const;  // what became of every weight
  double load_seconds() const;
  void set_tap(Tap* tap);  // named intermediate tensors; null: none

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace omni
