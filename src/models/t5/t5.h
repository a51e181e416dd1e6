#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/scope.h"

namespace omni {

// The T5 v1.1 encoder (Raffel et al. 2020; gated GELU) as transformers' T5EncoderModel computes it.
struct T5Config {
  int64_t vocab = 0, width = 0, hidden = 0, layers = 0, heads = 0, head_dim = 0;
  int64_t buckets = 32, max_distance = 128;
  float eps = 1e-6f;
  static T5Config from_json(const JsonObject& config);  // text_encoder_2/config.json; throws Error
};

struct T5Layer {
  Tensor norm1, norm2;
  Linear qkv, out, wi, wo;
  T5Layer(const Scope& scope, const T5Config& config);
};

class T5Encoder {
 public:
  T5Encoder(const Scope& scope, const T5Config& config);
  // ids: token ids with their padding, which is attended to as the reference does. Returns [ids, width] f32 (not
  // scratch).
  Tensor operator()(Exec& exec, std::span<const int32_t> ids) const;

  static std::vector<NameMap> names();

 private:
  Tensor position_bias(Exec& exec, int64_t tokens) const;  // [heads, tokens, tokens] f32 in scratch
  T5Config config_;
  std::string path_;
  Tensor tokens_, relative_bias_, norm_;
  std::vector<T5Layer> layers_;
};

// The bucket of a relative position (key - query) of a bidirectional encoder.
int64_t t5_bucket(int64_t relative, int64_t buckets, int64_t max_distance);

}  // namespace omni
