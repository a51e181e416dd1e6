#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"

namespace omni {

// How rotary angles are stretched for contexts longer than those trained on. kFactors: the checkpoint holds a divisor
// for each frequency (GGUF's rope_freqs).
enum class RopeScaling : uint8_t { kNone, kLinear, kLlama3, kYarn, kFactors };

struct RopeConfig {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;
  int64_t trained_positions = 0;                 // kLlama3, kYarn
  double low_frequency = 1, high_frequency = 4;  // kLlama3: wavelengths in units of trained_positions
  double beta_fast = 32, beta_slow = 1;          // kYarn
  double attention_factor = 0;                   // kYarn: cos and sin are multiplied by it; 0: the paper's
};

// The sizes of one decoder-only transformer: Llama, Qwen2, Qwen3 and Qwen3-MoE differ in these values only.
struct LlmConfig {
  std::string architecture;  // "Qwen3ForCausalLM"
  int64_t vocab = 0, width = 0, hidden = 0, layers = 0, positions = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  float eps = 1e-6f;
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool qk_norm = false;
  bool tied = false;  // lm_head is the token embedding
  RopeConfig rope;
  int64_t experts = 0, experts_per_token = 0, expert_hidden = 0;  // 0 experts: dense
  bool normalise_experts = false;                                 // weights of the chosen experts sum to 1
  int64_t sparse_step = 1;                                        // every so many layers have experts
  std::vector<int64_t> dense_layers;                              // layers without experts all the same
  std::vector<int32_t> end_tokens;

  bool is_sparse(int64_t layer) const;

  // config.json of a transformers folder; Error names the key, what it holds and what would do.
  static LlmConfig from_json(const JsonObject& config);
  // The metadata of a GGUF file, whose architecture must be known.
  static LlmConfig from_gguf(const Checkpoint& checkpoint);
};

// The architecture that a config.json names, known or not; "" when it names none.
std::string llm_architecture(const JsonObject& config);
// eos_token_id of a config.json or generation_config.json: a number, a list, or none.
std::vector<int32_t> llm_end_tokens(const JsonObject& config, int64_t vocab);

// Architectures from_json and from_gguf know, sorted.
std::vector<std::string_view> llm_architectures();
std::vector<std::string_view> llm_gguf_architectures();
// GGUF's name of one of llm_architectures().
std::string_view llm_gguf_architecture(std::string_view architecture);

}  // namespace omni
