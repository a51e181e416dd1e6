#include "checkpoint/spelling_compressed_tensors.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "checkpoint/module_list.h"
#include "checkpoint/pack_words.h"
#include "quant/codec_parts.h"

namespace omni {
namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view kVersion = "0.13.0";  // the oldest library that knows every format below
constexpr Group kTensor{0, 0};

// The formats of the library, each with the schemes that it holds.
enum class Format : uint8_t { kFloat, kInt, kPack, kNvFp4, kMxFp4, kMxFp8 };

std::string_view format_name(Format format) {
  switch (format) {
    case Format::kFloat:
      return "float-quantized";
    case Format::kInt:
      return "int-quantized";
    case Format::kPack:
      return "pack-quantized";
    case Format::kNvFp4:
      return "nvfp4-pack-quantized";
    case Format::kMxFp4:
      return "mxfp4-pack-quantized";
    case Format::kMxFp8:
      return "mxfp8-quantized";
  }
  return "";
}

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool is_mx(const QuantScheme& s) {
  return s.scale == ScaleSpec{DType::kF8E8M0, Group{1, 32}} && s.outer_scale.dtype == DType::kNone &&
         s.act == ActQuant::kNone;
}

std::optional<Format> integer_format(const QuantScheme& s) {
  const bool codes = s.codes == DType::kI8 || s.codes == DType::kU8 || s.codes == DType::kI4 || s.codes == DType::kU4 ||
                     s.codes == DType::kI5 || s.codes == DType::kU5 || s.codes == DType::kI6 || s.codes == DType::kI3 ||
                     s.codes == DType::kU3 || s.codes == DType::kI2 || s.codes == DType::kU2;
  const bool is_unsigned = codes && int_range(s.codes).low == 0;
  if (!codes || is_unsigned != (s.zero == Zero::kPoint) || s.zero == Zero::kMinimum || s.scale.group.rows != 1) {
    return std::nullopt;
  }
  if (s.act == ActQuant::kNone) return Format::kPack;
  const bool whole_rows = s.codes == DType::kI8 && s.scale.group.cols == 0 && s.act_codes == DType::kI8;
  return whole_rows ? std::optional(Format::kInt) : std::nullopt;
}

std::optional<Format> format_of(const QuantScheme& s) {
  if (s.low_rank != 0 || s.rotation != 0 || s.smooth || s.ordered || s.act == ActQuant::kPerGroup) return std::nullopt;
  if (s.codes == DType::kF4E2M1 && is_mx(s)) return Format::kMxFp4;
  if (s.codes == DType::kF8E4M3 && is_mx(s)) return Format::kMxFp8;
  if (s.codes == DType::kF4E2M1) {
    const bool two_levels = s.scale == ScaleSpec{DType::kF8E4M3, Group{1, 16}} &&
                            s.outer_scale == ScaleSpec{DType::kF32, kTensor} && s.act == ActQuant::kNone;
    return two_levels ? std::optional(Format::kNvFp4) : std::nullopt;
  }
  if (s.outer_scale.dtype != DType::kNone || !is_float(s.scale.dtype)) return std::nullopt;
  if (s.codes != DType::kF8E4M3) return integer_format(s);
  const bool inputs = s.act == ActQuant::kNone || s.act_codes == DType::kF8E4M3;
  const bool along = s.scale.group.rows == 1 && s.scale.group.cols != 0;  // no tool has groups of one row of fp8
  return inputs && !along ? std::optional(Format::kFloat) : std::nullopt;
}

// What the reader keeps its scales in: few ones are wide (see stored_linear.cpp), so that nothing is lost in f32.
DType scale_dtype(const QuantScheme& s) {
  if (s.scale.dtype == DType::kF8E8M0) return DType::kU8;
  const bool few = s.outer_scale.dtype == DType::kNone && (s.scale.group.cols == 0 || s.scale.group.rows != 1);
  return few ? DType::kF32 : s.scale.dtype;
}

Shape scale_shape(const SpelledWeight& w) {
  const Group& group = w.scheme.scale.group;
  if (group == kTensor) return Shape{1};
  return Shape{group_count(w.rows, group.rows), group_count(w.cols, group.cols)};
}

// The bytes of a tensor as another dtype and shape of the same size.
Tensor retyped(const Tensor& tensor, DType dtype, Shape shape) {
  Tensor out(dtype, shape);
  assert(tensor.contiguous() && out.bytes() == tensor.bytes());
  std::copy_n(tensor.raw(), out.bytes(), out.raw());
  return out;
}

// The library stores the inverse of the outer scale and divides by it. The encoder picks outer scales that allow it.
float inverse_of_outer(float outer, std::string_view where) {
  if (outer == 0) return 1;  // over codes of zero
  if (const std::optional<float> inverse = exact_inverse(outer)) return *inverse;
  throw Error(std::string(where), "the scale of the whole weight has no exact inverse, which compressed-tensors stores",
              "a weight quantized here (nvfp4 from floats), or another format");
}

class CompressedTensorsSpelling final : public Spelling {
 public:
  std::string_view name() const override { return "compressed-tensors"; }
  std::string_view what() const override { return "safetensors for vLLM, SGLang and transformers (llm-compressor's)"; }

  std::string refusal(std::span<const QuantScheme> schemes) const override {
    for (const QuantScheme& scheme : schemes) {
      if (!format_of(scheme)) return "compressed-tensors has no format for " + scheme.text();
    }
    return "";
  }

  std::vector<TensorHeader> headers(const SpelledWeight& w) const override {
    const Format format = *format_of(w.scheme);
    const int bits = dtype_info(w.scheme.codes).bits;
    std::vector<TensorHeader> out;
    if (format == Format::kPack) {
      out.push_back(
          {w.name + ".weight_packed", DType::kI32, Shape{w.rows, word_count(WordLayout::kDense, w.cols, bits)}});
      out.push_back({w.name + ".weight_shape", DType::kI64, Shape{2}});
    } else if (bits == 4) {
      out.push_back({w.name + ".weight_packed", DType::kU8, Shape{w.rows, w.cols / 2}});
    } else {
      out.push_back({w.name + ".weight", w.scheme.codes, Shape{w.rows, w.cols}});
    }
    out.push_back({w.name + ".weight_scale", scale_dtype(w.scheme), scale_shape(w)});
    if (format == Format::kNvFp4) out.push_back({w.name + ".weight_global_scale", DType::kF32, Shape{1}});
    if (w.scheme.zero == Zero::kPoint) {
      const Shape shape{word_count(WordLayout::kDense, w.rows, bits), group_count(w.cols, w.scheme.scale.group.cols)};
      out.push_back({w.name + ".weight_zero_point", DType::kI32, shape});
    }
    if (w.scheme.act == ActQuant::kStatic) out.push_back({w.name + ".input_scale", DType::kF32, Shape{1}});
    return out;
  }

  std::vector<NamedTensor> spell(std::string_view name, const Weight& weight, std::string_view where) const override {
    const SpelledWeight w{std::string(name), weight.scheme, weight.rows, weight.cols};
    const Format format = *format_of(weight.scheme);
    std::vector<NamedTensor> out;
    for (const TensorHeader& header : headers(w)) {
      const std::string_view part = std::string_view(header.name).substr(name.size() + 1);
      Tensor tensor;
      if (part == "weight_packed" && format == Format::kPack) {
        tensor = pack_words(weight, dtype_info(weight.scheme.codes).bits);
      } else if (part == "weight" || part == "weight_packed") {
        tensor = retyped(weight.codes, header.dtype, header.shape);
      } else if (part == "weight_scale") {
        tensor = is_float(header.dtype) ? cast(weight.scales, header.dtype).reshaped(header.shape)
                                        : retyped(weight.scales, header.dtype, header.shape);
      } else if (part == "weight_shape") {
        tensor = Tensor(header.dtype, header.shape);
        tensor.data<int64_t>()[0] = weight.rows;
        tensor.data<int64_t>()[1] = weight.cols;
      } else if (part == "weight_global_scale") {
        tensor = Tensor(header.dtype, header.shape);
        *tensor.f32() = inverse_of_outer(*weight.outer_scales.f32(), where);
      } else if (part == "weight_zero_point") {
        tensor = pack_word_columns(checked_points(weight, where), dtype_info(weight.scheme.codes).bits);
      } else {
        tensor = weight.input_scale.reshaped(header.shape);
      }
      assert(tensor.dtype() == header.dtype && tensor.shape() == header.shape);
      out.push_back({header.name, std::move(tensor)});
    }
    return out;
  }

  json config(std::span<const SpelledWeight> weights, std::span<const std::string> kept) const override;

 private:
  static const Tensor& checked_points(const Weight& weight, std::string_view where) {
    const auto high = static_cast<float>(int_range(weight.scheme.codes).high);
    for (int64_t i = 0; i < weight.zeros.shape().count(); ++i) {
      const float point = weight.zeros.f32()[i];
      if (point >= 0 && point <= high && point == std::floor(point)) continue;
      throw Error(std::string(where), "has a zero point of " + std::to_string(point),
                  "whole ones from 0 to " + std::to_string(static_cast<int>(high)));
    }
    return weight.zeros;
  }
};

json null_args() {
  return {{"num_bits", 8},         {"type", "int"},         {"symmetric", true},
          {"strategy", "channel"}, {"group_size", nullptr}, {"block_structure", nullptr},
          {"dynamic", false},      {"actorder", nullptr},   {"scale_dtype", nullptr},
          {"zp_dtype", nullptr},   {"observer", nullptr},   {"observer_kwargs", json::object()}};
}

json weight_args(const QuantScheme& s, Format format) {
  json args = null_args();
  const Group& group = s.scale.group;
  args["num_bits"] = dtype_info(s.codes).bits;
  args["type"] = dtype_info(s.codes).is_float ? "float" : "int";
  args["symmetric"] = s.zero == Zero::kNone;
  args["strategy"] = group == kTensor           ? "tensor"
                     : format == Format::kNvFp4 ? "tensor_group"
                     : group.rows != 1          ? "block"
                     : group.cols == 0          ? "channel"
                                                : "group";
  if (group.rows == 1 && group.cols != 0) args["group_size"] = group.cols;
  if (args["strategy"] == "block") args["block_structure"] = {group.rows, group.cols};
  if (format == Format::kNvFp4) args["scale_dtype"] = "torch.float8_e4m3fn";
  if (s.scale.dtype == DType::kF8E8M0) args["scale_dtype"] = "torch.uint8";
  if (s.zero == Zero::kPoint) args["zp_dtype"] = "torch.int8";
  return args;
}

json input_args(const QuantScheme& s) {
  const bool blocks = s.codes == DType::kF8E4M3 && s.scale.group.rows > 1 && s.scale.group.cols != 0;
  if (s.act == ActQuant::kNone && !blocks) return nullptr;
  json args = null_args();
  args["type"] = blocks || s.act_codes == DType::kF8E4M3 ? "float" : "int";
  args["dynamic"] = s.act != ActQuant::kStatic;
  args["strategy"] = s.act == ActQuant::kNone ? "group" : s.act == ActQuant::kPerToken ? "token" : "tensor";
  // What kernels for blocks of weights ask of the inputs; here it is read as inputs in float.
  if (s.act == ActQuant::kNone) args["group_size"] = s.scale.group.cols;
  return args;
}

// Weights of one scheme: every Linear, or modules by their names.
struct ConfigGroup {
  QuantScheme scheme;
  bool linear = true;
  std::vector<std::string> names;
};

std::vector<ConfigGroup> config_groups_of(std::span<const SpelledWeight> weights) {
  std::vector<ConfigGroup> groups;
  for (const SpelledWeight& w : weights) {
    const bool linear = names_linear(w.name);
    auto it =
        std::ranges::find_if(groups, [&](const ConfigGroup& g) { return g.scheme == w.scheme && g.linear == linear; });
    if (it == groups.end()) it = groups.insert(groups.end(), {w.scheme, linear, {}});
    it->names.push_back(w.name);
  }
  // The largest group is "every Linear"; the library looks at names first.
  std::ranges::stable_sort(groups, std::greater<>(), [](const ConfigGroup& g) { return g.names.size(); });
  std::ranges::stable_sort(groups, std::greater<>(), &ConfigGroup::linear);
  return groups;
}

json CompressedTensorsSpelling::config(std::span<const SpelledWeight> weights,
                                       std::span<const std::string> kept) const {
  const std::vector<ConfigGroup> groups = config_groups_of(weights);
  json config_groups = json::object();
  std::vector<std::string_view> formats;
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto& [scheme, linear, names] = groups[i];
    const Format format = *format_of(scheme);
    formats.push_back(format_name(format));
    config_groups["group_" + std::to_string(i)] = {
        {"targets", i == 0 && linear ? std::vector<std::string>{"Linear"} : names},
        {"weights", weight_args(scheme, format)},
        {"input_activations", input_args(scheme)},
        {"output_activations", nullptr},
        {"format", formats.back()}};
  }
  const bool one = std::ranges::all_of(formats, [&](std::string_view format) { return format == formats[0]; });
  return {{"quant_method", "compressed-tensors"},
          {"provider", "omni"},
          {"version", kVersion},
          {"format", one ? formats.at(0) : "mixed-precision"},
          {"quantization_status", "compressed"},
          {"config_groups", std::move(config_groups)},
          {"ignore", std::vector<std::string>(kept.begin(), kept.end())},
          {"kv_cache_scheme", nullptr},
          {"sparsity_config", json::object()},
          {"transform_config", json::object()},
          {"global_compression_ratio", nullptr}};
}

}  // namespace

const Spelling& compressed_tensors_spelling() {
  static const CompressedTensorsSpelling spelling;
  return spelling;
}

}  // namespace omni
