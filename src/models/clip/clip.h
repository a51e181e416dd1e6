#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/scope.h"

namespace omni {

// The CLIP text encoder (Radford et al. 2021) as transformers' CLIPTextModel computes it.
struct ClipConfig {
  int64_t vocab = 0, width = 0, hidden = 0, layers = 0, heads = 0, positions = 0;
  float eps = 1e-5f;
  int64_t eos = 0;
  Act act = Act::kQuickGelu;
  static ClipConfig from_json(const JsonObject& config);  // text_encoder/config.json; throws Error
};

struct ClipLayer {
  Tensor norm1_gain, norm1_shift, norm2_gain, norm2_shift;
  Linear qkv, out, fc1, fc2;
  ClipLayer(const Scope& scope, const ClipConfig& config);
};

class ClipTextEncoder {
 public:
  ClipTextEncoder(const Scope& scope, const ClipConfig& config);
  // ids: token ids, at most config.positions. Returns the final norm's row at the first end token, [width] f32 (not
  // scratch).
  Tensor operator()(Exec& exec, std::span<const int32_t> ids) const;

  static std::vector<NameMap> names();

 private:
  ClipConfig config_;
  std::string path_;
  Tensor tokens_, positions_, norm_gain_, norm_shift_;
  std::vector<ClipLayer> layers_;
};

}  // namespace omni
