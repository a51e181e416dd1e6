#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/llm/config.h"
#include "nn/embedding.h"
#include "nn/kv_cache.h"
#include "nn/scope.h"

namespace omni {

// The token positions of one pass: cos and sin [m, head_dim / 2] f32 of each row.
struct LlmPositions {
  const float* cos = nullptr;
  const float* sin = nullptr;
};

struct LlmAttention {
  Linear qkv, out;
  Tensor q_gain, k_gain;  // empty without QK norm
  LlmAttention(const Scope& scope, const LlmConfig& config);
  // x += attention(normed). The keys and values of these rows go into layer `layer` of the cache.
  void operator()(Exec& exec, const LlmConfig& config, const Activation& normed, const LlmPositions& at, KvCache& cache,
                  int64_t layer, Tensor& x) const;
};

// down(silu(gate x) * up x)
struct LlmMlp {
  Linear gate_up, down;
  LlmMlp(const Scope& scope, int64_t width, int64_t hidden, Bias bias);
  void add_to(Exec& exec, const Activation& normed, Tensor& x) const;
};

// A router gives every token to a few experts, each an LlmMlp, and mixes what they say.
struct LlmExperts {
  Linear router;
  std::vector<LlmMlp> experts;
  LlmExperts(const Scope& scope, const LlmConfig& config);
  void add_to(Exec& exec, const LlmConfig& config, const Tensor& normed, Tensor& x) const;
};

struct LlmLayer {
  std::string path;
  Tensor attention_norm, mlp_norm;
  LlmAttention attention;
  std::optional<LlmMlp> mlp;
  std::optional<LlmExperts> experts;
  LlmLayer(const Scope& scope, const LlmConfig& config, int64_t layer);
  void operator()(Exec& exec, const LlmConfig& config, const LlmPositions& at, KvCache& cache, int64_t layer,
                  Tensor& x) const;
};

// A decoder-only transformer that reads tokens and gives the logits of the next (Touvron et al. 2023; Yang et al.
// 2025).
class Llm {
 public:
  Llm(const Scope& scope, const LlmConfig& config);
  // Runs ids, the tokens that follow those in the cache, and adds them to it. logits: [n, vocab] f32, those after each
  // of the last n ids. Throws Error for an id outside the vocabulary, before anything changes.
  void operator()(Exec& exec, std::span<const int32_t> ids, KvCache& cache, Tensor& logits) const;
  KvCache make_cache(int64_t capacity, DType dtype) const;
  const LlmConfig& config() const { return config_; }

  static std::vector<NameMap> names(const LlmConfig& config);

 private:
  LlmPositions positions(Exec& exec, int64_t first, int64_t count) const;  // in scratch
  LlmConfig config_;
  std::string path_;
  Embedding tokens_;
  std::vector<LlmLayer> layers_;
  Tensor norm_;
  Linear head_;
  std::vector<float> frequencies_;  // radians a position, head_dim / 2
  float rope_scale_ = 1;            // of cos and sin
};

}  // namespace omni
