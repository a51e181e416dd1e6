#include "checkpoint/spelling_fp8.h"

#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>

#include "quant/codec_parts.h"

namespace omni {
namespace {

using json = nlohmann::ordered_json;
constexpr Group kTensor{0, 0};

bool has_blocks(const QuantScheme& s) {
  return s.scale.group.rows > 1 && s.scale.group.cols > 1;
}

// Inputs as readers of the format take them: quantized by token or by a stored scale, of blocks not at all.
bool writes_inputs(const QuantScheme& s) {
  if (has_blocks(s)) return s.act == ActQuant::kNone;
  return (s.act == ActQuant::kPerToken || s.act == ActQuant::kStatic) && s.act_codes == DType::kF8E4M3;
}

// E4M3 codes with one scale a weight, a row or a block.
bool writes(const QuantScheme& s) {
  const bool floats = s.scale.dtype == DType::kF32 || s.scale.dtype == DType::kF16 || s.scale.dtype == DType::kBF16;
  const bool group = s.scale.group == kTensor || s.scale.group == Group{1, 0} || has_blocks(s);
  return s.codes == DType::kF8E4M3 && floats && group && s.outer_scale.dtype == DType::kNone && writes_inputs(s) &&
         s.low_rank == 0 && s.rotation == 0 && !s.smooth && !s.ordered;
}

// An entry of the list also means every module whose last segments it is: where that would be too much, a pattern.
std::string exact_entry(const std::string& name, std::span<const SpelledWeight> weights) {
  const auto covers = [&](const SpelledWeight& w) {
    return w.name.ends_with("." + name) || w.name.starts_with(name + ".");
  };
  if (std::ranges::none_of(weights, covers)) return name;
  std::string pattern = "re:^";
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern + "$";
}

class Fp8Spelling final : public Spelling {
 public:
  std::string_view name() const override { return "fp8"; }
  std::string_view what() const override { return "safetensors with weight_scale (transformers' and vLLM's fp8)"; }

  std::string refusal(std::span<const QuantScheme> schemes) const override {
    for (const QuantScheme& scheme : schemes) {
      if (!writes(scheme)) return "fp8 has no place for " + scheme.text();
      if (scheme != schemes[0]) return "fp8 holds one scheme, not both " + schemes[0].text() + " and " + scheme.text();
    }
    return "";
  }

  std::vector<TensorHeader> headers(const SpelledWeight& w) const override {
    const Group& group = w.scheme.scale.group;
    const Shape shape =
        group == kTensor ? Shape{1} : Shape{group_count(w.rows, group.rows), group_count(w.cols, group.cols)};
    std::vector<TensorHeader> out = {
        {w.name + ".weight", DType::kF8E4M3, Shape{w.rows, w.cols}},
        {w.name + (has_blocks(w.scheme) ? ".weight_scale_inv" : ".weight_scale"), DType::kF32, shape}};
    if (w.scheme.act == ActQuant::kStatic) out.push_back({w.name + ".input_scale", DType::kF32, Shape{1}});
    return out;
  }

  std::vector<NamedTensor> spell(std::string_view name, const Weight& weight, std::string_view) const override {
    const std::vector<TensorHeader> parts = headers({std::string(name), weight.scheme, weight.rows, weight.cols});
    std::vector<NamedTensor> out = {{parts[0].name, weight.codes},
                                    {parts[1].name, to_f32(weight.scales).reshaped(parts[1].shape)}};
    if (parts.size() > 2) out.push_back({parts[2].name, weight.input_scale.reshaped(parts[2].shape)});
    return out;
  }

  json config(std::span<const SpelledWeight> weights, std::span<const std::string> kept) const override {
    assert(!weights.empty());
    const QuantScheme& scheme = weights[0].scheme;
    json out = {{"quant_method", "fp8"},
                {"fmt", "e4m3"},
                {"activation_scheme", scheme.act == ActQuant::kStatic ? "static" : "dynamic"}};
    if (has_blocks(scheme)) out["weight_block_size"] = {scheme.scale.group.rows, scheme.scale.group.cols};
    out["modules_to_not_convert"] = json::array();
    for (const std::string& name : kept) out["modules_to_not_convert"].push_back(exact_entry(name, weights));
    return out;
  }
};

}  // namespace

const Spelling& fp8_spelling() {
  static const Fp8Spelling spelling;
  return spelling;
}

}  // namespace omni
