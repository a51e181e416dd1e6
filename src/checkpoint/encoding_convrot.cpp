#include "checkpoint/encoding_convrot.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/packed_int.h"
#include "quant/rotation.h"

namespace omni {
namespace {

constexpr std::string_view kMarker = ".comfy_quant";
constexpr std::string_view kFormat = "int8_tensorwise";
constexpr int64_t kLongestMarker = 4096;

struct Marker {
  std::string format;
  int rotation = 0;
};

Marker read_marker(const Checkpoint& checkpoint, const std::string& tensor) {
  check_dtype(checkpoint, tensor, {DType::kU8});
  const std::string where = tensor_where(checkpoint, tensor);
  const int64_t bytes = checkpoint.find(tensor)->shape.count();
  if (bytes > kLongestMarker) throw Error(where, "is " + std::to_string(bytes) + " bytes long", "a short JSON object");
  const Tensor text = checkpoint.tensor(tensor);
  const JsonObject object = JsonObject::parse({text.data<char>(), static_cast<size_t>(bytes)}, where);
  Marker out{object.string("format"), 0};
  if (!object.boolean_or("convrot", false)) return out;
  out.rotation = object.has("convrot_groupsize") ? static_cast<int>(object.size("convrot_groupsize", 0, 1 << 20)) : 256;
  if (!is_rotation_size(out.rotation))
    throw Error(where, "rotates groups of " + std::to_string(out.rotation), "a power of 4, 4 or more");
  return out;
}

class ConvrotWeights final : public StoredWeights {
 public:
  explicit ConvrotWeights(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  std::string_view method() const override { return "int8_convrot"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const Names names(name);
    if (checkpoint_.find(names.marker) == nullptr) return describe_plain(checkpoint_, name);
    const Marker marker = read_marker(checkpoint_, names.marker);
    if (marker.format != kFormat)
      throw Error(tensor_where(checkpoint_, names.marker), "marks the format \"" + marker.format + "\"",
                  std::string(kFormat) + " in a checkpoint that begins so");
    const Checkpoint::Entry& weight = need_entry(checkpoint_, names.weight, names.marker + " marks it");
    const Checkpoint::Entry& scale = need_entry(checkpoint_, names.scale, names.marker + " marks the weight");
    check_dtype(checkpoint_, names.weight, {DType::kI8});
    check_dtype(checkpoint_, names.scale, {DType::kF32});
    if (weight.shape.rank() != 2)
      throw Error(tensor_where(checkpoint_, names.weight), "is of shape " + weight.shape.text(), "a matrix");
    StoredWeight out{{}, DType::kNone, weight.shape[0], weight.shape[1], 0, {names.weight, names.scale, names.marker}};
    const bool whole = scale.shape.count() == 1 && out.rows != 1;
    if (!whole) check_grid(checkpoint_, names.scale, out.rows, 1);
    if (marker.rotation != 0 && out.cols % marker.rotation != 0)
      throw Error(tensor_where(checkpoint_, names.weight), "has " + std::to_string(out.cols) + " columns",
                  "a multiple of the rotated groups of " + std::to_string(marker.rotation));
    out.scheme = QuantScheme{.codes = DType::kI8,
                             .scale = {DType::kF32, whole ? Group{0, 0} : Group{1, 0}},
                             .act = ActQuant::kPerToken,
                             .act_codes = DType::kI8,
                             .rotation = marker.rotation};
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
    out.codes = checkpoint_.tensor(names.weight);
    const Tensor scales = checkpoint_.tensor(names.scale);
    out.scales = scales.reshaped(Shape{scales.shape().count(), 1});
    check_scale_values(out.scales, ScaleSign::kPositive, tensor_where(checkpoint_, names.scale));
    check_zero_scales(out, tensor_where(checkpoint_, names.scale));
    return out;
  }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const std::string& tensor : checkpoint_.names()) {
      if (tensor.ends_with(kMarker)) out.push_back(tensor.substr(0, tensor.size() - kMarker.size()));
      if (is_plain_weight(checkpoint_, tensor)) out.push_back(tensor.substr(0, tensor.rfind('.')));
    }
    return sorted_names(std::move(out));
  }

 private:
  struct Names {
    std::string weight, scale, marker;
    explicit Names(std::string_view name)
        : weight(std::string(name) + ".weight"),
          scale(std::string(name) + ".weight_scale"),
          marker(std::string(name) + std::string(kMarker)) {}
  };

  const Checkpoint& checkpoint_;
};

class ConvrotEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "int8-convrot"; }
  std::string_view what() const override { return "ComfyUI int8_tensorwise markers: int8 rows, rotated or not"; }

  // The first marker decides: other formats of the same tool have markers too.
  bool wrote(const Checkpoint& checkpoint, const JsonObject* config) const override {
    if (says_method(config, {"int8_convrot"})) return true;
    if (config != nullptr && config->has("quant_method")) return false;
    for (const std::string& tensor : checkpoint.names()) {
      if (tensor.ends_with(kMarker)) return read_marker(checkpoint, tensor).format == kFormat;
    }
    return false;
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject*) const override {
    return std::make_unique<ConvrotWeights>(checkpoint);
  }
};

}  // namespace

const Encoding& convrot_encoding() {
  static const ConvrotEncoding encoding;
  return encoding;
}

}  // namespace omni
