#include "checkpoint/encoding_quanto.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/packed_int.h"

namespace omni {
namespace {

constexpr std::string_view kData = ".weight._data";
constexpr std::string_view kScale = ".weight._scale";
constexpr std::string_view kPacked = ".weight._data._data";

class QuantoWeights final : public StoredWeights {
 public:
  explicit QuantoWeights(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  std::string_view method() const override { return "quanto"; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const std::string data = std::string(name) + std::string(kData), scale = std::string(name) + std::string(kScale);
    const std::string packed = std::string(name) + std::string(kPacked);
    if (checkpoint_.find(packed) != nullptr)
      throw Error(tensor_where(checkpoint_, packed), "is a packed 2- or 4-bit weight, which cannot be read here",
                  "qint8 or qfloat8 weights; or quantize online with int4");
    if (checkpoint_.find(data) == nullptr && checkpoint_.find(scale) == nullptr)
      return describe_plain(checkpoint_, name);
    const Checkpoint::Entry& codes = need_entry(checkpoint_, data, "the layer is quantized");
    need_entry(checkpoint_, scale, "the layer is quantized");
    check_dtype(checkpoint_, data, {DType::kI8, DType::kF8E4M3, DType::kF8E5M2});
    check_dtype(checkpoint_, scale, {DType::kF32, DType::kBF16, DType::kF16});
    if (codes.shape.rank() != 2)
      throw Error(tensor_where(checkpoint_, data), "is of shape " + codes.shape.text(), "a matrix");
    StoredWeight out{{}, DType::kNone, codes.shape[0], codes.shape[1], 0, {data, scale}};
    check_grid(checkpoint_, scale, out.rows, 1);
    out.scheme.codes = codes.dtype;
    out.scheme.scale = {checkpoint_.find(scale)->dtype, {1, 0}};
    out.bytes = stored_bytes(checkpoint_, out.tensors);
    for (const std::string_view own : {".input_scale", ".output_scale"})
      claim_unused(std::string(name) + std::string(own), out);
    return out;
  }

  Weight read(std::string_view name) const override {
    const StoredWeight stored = *describe(name);
    if (!stored.scheme.quantized()) return read_plain(checkpoint_, name);
    Weight out;
    out.scheme = stored.scheme;
    out.rows = stored.rows;
    out.cols = stored.cols;
    out.codes = checkpoint_.tensor(std::string(name) + std::string(kData));
    check_float_codes(out.codes, tensor_where(checkpoint_, std::string(name) + std::string(kData)));
    const std::string scale = std::string(name) + std::string(kScale);
    out.scales = checkpoint_.tensor(scale).reshaped(Shape{out.rows, 1});
    check_scale_values(out.scales, ScaleSign::kPositive, tensor_where(checkpoint_, scale));
    check_zero_scales(out, tensor_where(checkpoint_, scale));
    return out;
  }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const std::string& tensor : checkpoint_.names()) {
      if (is_plain_weight(checkpoint_, tensor)) out.push_back(tensor.substr(0, tensor.rfind('.')));
      for (const std::string_view suffix : {kData, kScale, kPacked}) {
        if (tensor.ends_with(suffix)) out.push_back(tensor.substr(0, tensor.size() - suffix.size()));
      }
    }
    return sorted_names(std::move(out));
  }

 private:
  // Scales of quantized activations: 1 when only weights are. Others belong to another scheme.
  void claim_unused(const std::string& tensor, StoredWeight& out) const {
    if (checkpoint_.find(tensor) == nullptr) return;
    if (read_single_scale(checkpoint_, tensor) != 1)
      throw Error(tensor_where(checkpoint_, tensor), "scales quantized activations, which cannot be read here",
                  "1, or weights quantized alone");
    out.tensors.push_back(tensor);
  }

  const Checkpoint& checkpoint_;
};

class QuantoEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "quanto"; }
  std::string_view what() const override { return "optimum-quanto: int8 and float8 weights"; }

  // The tool's own save has no config but a map of its own: its tensors' names are the mark.
  bool wrote(const Checkpoint& checkpoint, const JsonObject* config) const override {
    if (says_method(config, {"quanto"})) return true;
    if (config != nullptr) return false;
    for (const std::string& tensor : checkpoint.names()) {
      if (tensor.ends_with(kData) || tensor.ends_with(kPacked)) return true;
    }
    return false;
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject*) const override {
    return std::make_unique<QuantoWeights>(checkpoint);
  }
};

}  // namespace

const Encoding& quanto_encoding() {
  static const QuantoEncoding encoding;
  return encoding;
}

}  // namespace omni
