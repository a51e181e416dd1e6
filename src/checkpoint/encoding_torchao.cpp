#include "checkpoint/encoding_torchao.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/packed_int.h"
#include "checkpoint/packed_words.h"
#include "checkpoint/quantized_neighbours.h"
#include "quant/codec_parts.h"
#include "tensor/float_bits.h"

namespace omni {
namespace {

using nlohmann::json;

// What a config makes of weights. Group sizes are read off the scales, which tell them for every layer.
enum class Family : uint8_t { kInt8, kFloat8, kInt4, kIntx };
struct Config {
  std::string_view name;
  Family family;
  bool dynamic;  // inputs are quantized a token
};
constexpr std::array kConfigs = {
    Config{"Float8DynamicActivationFloat8WeightConfig", Family::kFloat8, true},
    Config{"Float8WeightOnlyConfig", Family::kFloat8, false},
    Config{"Int4WeightOnlyConfig", Family::kInt4, false},
    Config{"Int8DynamicActivationInt8WeightConfig", Family::kInt8, true},
    Config{"Int8WeightOnlyConfig", Family::kInt8, false},
    Config{"IntxWeightOnlyConfig", Family::kIntx, false},
};

struct Names {
  std::string qdata, scale, zero_point;
  explicit Names(std::string_view name)
      : qdata(std::string(name) + "._weight_qdata"),
        scale(std::string(name) + "._weight_scale"),
        zero_point(std::string(name) + "._weight_zero_point") {}
};

class TorchaoWeights final : public StoredWeights {
 public:
  TorchaoWeights(const Checkpoint& checkpoint, const Config& config, ModuleList skipped)
      : checkpoint_(checkpoint), config_(config), skipped_(std::move(skipped)) {}
  std::string_view method() const override { return "torchao"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const Names names(name);
    if (!is_quantized(names)) {
      std::optional<StoredWeight> plain = describe_plain(checkpoint_, name);
      if (plain && skipped_.match(name) == NameMatch::kNone) check_neighbours(checkpoint_, name, "._weight_qdata");
      return plain;
    }
    const Checkpoint::Entry& codes = need_entry(checkpoint_, names.qdata, "the layer is quantized");
    need_entry(checkpoint_, names.scale, "the layer is quantized");
    if (skipped_.match(name) == NameMatch::kExact)
      throw Error(tensor_where(checkpoint_, names.qdata),
                  "is quantized, though modules_to_not_convert leaves the layer in float",
                  std::string(name) + ".weight");
    check_dtype(checkpoint_, names.scale, {DType::kF32, DType::kBF16, DType::kF16});
    if (codes.shape.rank() != 2 || codes.shape.count() == 0)
      throw Error(tensor_where(checkpoint_, names.qdata), "is of shape " + codes.shape.text(), "a matrix");
    StoredWeight out{{}, DType::kNone, codes.shape[0], codes.shape[1], 0, {names.qdata, names.scale}};
    if (config_.family == Family::kInt4) out.cols *= 2;
    out.scheme = scheme_of(names, out);
    if (checkpoint_.find(names.zero_point) != nullptr) {
      const Shape &points = checkpoint_.find(names.zero_point)->shape, &scales = checkpoint_.find(names.scale)->shape;
      if (points != scales)
        throw Error(tensor_where(checkpoint_, names.zero_point), "is of shape " + points.text(),
                    "shape " + scales.text() + ", one a scale");
      out.tensors.push_back(names.zero_point);
    }
    out.bytes = stored_bytes(checkpoint_, out.tensors);
    return out;
  }

  Weight read(std::string_view name) const override {
    const StoredWeight stored = *describe(name);
    if (!stored.scheme.quantized()) return read_plain(checkpoint_, name);
    const Names names(name);
    Weight out;
    out.scheme = stored.scheme;
    out.rows = stored.rows;
    out.cols = stored.cols;
    out.codes = checkpoint_.tensor(names.qdata);
    if (config_.family == Family::kInt4) {  // the same bytes: low nibble first
      out.codes = Tensor(DType::kI4, Shape{out.rows, out.cols});
      const Tensor bytes = checkpoint_.tensor(names.qdata);
      std::copy_n(bytes.raw(), bytes.bytes(), out.codes.raw());
    }
    check_float_codes(out.codes, tensor_where(checkpoint_, names.qdata));
    const Tensor scales = checkpoint_.tensor(names.scale);
    check_scale_values(scales, ScaleSign::kPositive, tensor_where(checkpoint_, names.scale));
    const Shape canonical{group_count(out.rows, out.scheme.scale.group.rows),
                          group_count(out.cols, out.scheme.scale.group.cols)};
    out.scales = config_.family == Family::kInt4 ? transpose_floats(scales) : scales.reshaped(canonical);
    read_points(names, out);
    if (config_.family != Family::kInt4) check_zero_scales(out, tensor_where(checkpoint_, names.scale));
    return out;
  }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const std::string& tensor : checkpoint_.names()) {
      if (is_plain_weight(checkpoint_, tensor)) out.push_back(tensor.substr(0, tensor.rfind('.')));
      for (const std::string_view suffix : {"._weight_qdata", "._weight_scale", "._weight_zero_point"}) {
        if (tensor.ends_with(suffix)) out.push_back(tensor.substr(0, tensor.size() - suffix.size()));
      }
    }
    return sorted_names(std::move(out));
  }

 private:
  bool is_quantized(const Names& names) const {
    return checkpoint_.find(names.qdata) != nullptr || checkpoint_.find(names.scale) != nullptr ||
           checkpoint_.find(names.zero_point) != nullptr;
  }

  // [G, N] for int4, else [N, G] with G from 1 on, or one value.
  Group group_of_scales(const Names& names, const StoredWeight& weight) const {
    const Shape& shape = checkpoint_.find(names.scale)->shape;
    const bool turned = config_.family == Family::kInt4;
    if (!turned && shape.count() == 1 && weight.rows != 1) return {0, 0};
    const int64_t rows = shape.rank() == 2 ? shape[turned ? 1 : 0] : -1;
    const int64_t groups = shape.rank() == 2 ? shape[turned ? 0 : 1] : -1;
    if (rows != weight.rows || groups < 1 || weight.cols % groups != 0)
      throw Error(
          tensor_where(checkpoint_, names.scale), "is of shape " + shape.text(),
          turned ? "[groups, " + std::to_string(weight.rows) + "]" : "[" + std::to_string(weight.rows) + ", groups]");
    return {1, groups == 1 ? 0 : static_cast<int>(weight.cols / groups)};
  }

  QuantScheme scheme_of(const Names& names, const StoredWeight& weight) const {
    QuantScheme out;
    const DType stored = checkpoint_.find(names.qdata)->dtype;
    out.codes = stored;
    if (config_.family == Family::kFloat8) {
      check_dtype(checkpoint_, names.qdata, {DType::kF8E4M3, DType::kF8E5M2});
    } else if (config_.family == Family::kInt4) {
      check_dtype(checkpoint_, names.qdata, {DType::kI8, DType::kU8});
      need_entry(checkpoint_, names.zero_point, "int4 layers have zero points");
      check_dtype(checkpoint_, names.zero_point, {checkpoint_.find(names.scale)->dtype});
      out.codes = DType::kI4;
      out.zero = Zero::kMinimum;
    } else {
      check_dtype(checkpoint_, names.qdata, {DType::kI8});
      const bool points = checkpoint_.find(names.zero_point) != nullptr;
      if (points) check_dtype(checkpoint_, names.zero_point, {DType::kI8});
      if (points && config_.family == Family::kIntx) out.zero = Zero::kPoint;
    }
    out.scale = {checkpoint_.find(names.scale)->dtype, group_of_scales(names, weight)};
    if (config_.dynamic) {
      out.act = out.scale.group == Group{0, 0} ? ActQuant::kPerTensor : ActQuant::kPerToken;
      out.act_codes = config_.family == Family::kInt8 ? DType::kI8 : DType::kF8E4M3;
    }
    return out;
  }

  void read_points(const Names& names, Weight& out) const {
    if (checkpoint_.find(names.zero_point) == nullptr) return;
    const Tensor points = checkpoint_.tensor(names.zero_point);
    if (config_.family == Family::kInt4) {  // value = code * scale + point: the minimum with the other sign
      check_scale_values(points, ScaleSign::kAny, tensor_where(checkpoint_, names.zero_point));
      out.zeros = transpose_floats(points);
      for (int64_t i = 0; i < out.zeros.shape().count(); ++i) {
        if (out.zeros.dtype() == DType::kF32)
          out.zeros.f32()[i] = -out.zeros.f32()[i];
        else
          out.zeros.data<uint16_t>()[i] ^= 0x8000;
      }
      return;
    }
    if (out.scheme.zero == Zero::kPoint) {
      out.zeros = to_f32(points).reshaped(out.scales.shape());
      return;
    }
    for (int64_t i = 0; i < points.shape().count(); ++i) {
      if (points.data<int8_t>()[i] == 0) continue;
      throw Error(tensor_where(checkpoint_, names.zero_point),
                  "holds " + std::to_string(points.data<int8_t>()[i]) + " at " + std::to_string(i),
                  "0, because " + std::string(config_.name) + " is symmetric");
    }
  }

  const Checkpoint& checkpoint_;
  Config config_;
  ModuleList skipped_;
};

std::string join_configs() {
  std::string out;
  for (const Config& config : kConfigs) out += (out.empty() ? "" : ", ") + std::string(config.name);
  return out;
}

// quant_type: {"default": {"_type": NAME, "_data": {...}}}.
const Config& config_of(const JsonObject& config) {
  const JsonObject whole = config.object("quant_type");
  for (const std::string& key : whole.keys()) {
    if (key != "default")
      throw Error(whole.where() + ": " + key, "is a rule for some modules, which cannot be read", "default alone");
  }
  const JsonObject type = whole.object("default");
  const std::string name = type.string("_type");
  const auto* found = std::ranges::find(kConfigs, name, &Config::name);
  if (found == kConfigs.end())
    throw Error(type.where() + ": _type", "is \"" + name + "\", whose weights cannot be read",
                "one of " + join_configs());
  if (found->family == Family::kInt4 && type.has("_data")) {
    const json& data = type.object("_data").value();
    const json format = data.value("int4_packing_format", json("plain"));
    const json plain = format.is_object() ? format.value("_data", json()) : format;
    std::string text = plain.is_string() ? plain.get<std::string>() : "";
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (text != "plain")
      throw Error(type.where() + ": int4_packing_format", "is \"" + text + "\", an order of bytes made for one kernel",
                  "plain");
  }
  return *found;
}

class TorchaoEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "torchao"; }
  std::string_view what() const override { return "torchao: int8, float8, plain int4 and intx weights in safetensors"; }

  bool wrote(const Checkpoint&, const JsonObject* config) const override { return says_method(config, {"torchao"}); }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject* config) const override {
    std::vector<std::string> skipped;
    if (config->has("modules_to_not_convert")) skipped = config->strings("modules_to_not_convert");
    return std::make_unique<TorchaoWeights>(
        checkpoint, config_of(*config),
        ModuleList(skipped, ModuleList::Kind::kPrefixes, config->where() + ": modules_to_not_convert"));
  }
};

}  // namespace

const Encoding& torchao_encoding() {
  static const TorchaoEncoding encoding;
  return encoding;
}

}  // namespace omni
