#include "checkpoint/encoding_plain.h"

#include <string>

#include "base/error.h"

namespace omni {
namespace {

constexpr std::string_view kSuffix = ".weight";

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

class PlainWeights final : public StoredWeights {
 public:
  explicit PlainWeights(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  std::string_view method() const override { return ""; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    return describe_plain(checkpoint_, name);
  }

  Weight read(std::string_view name) const override { return read_plain(checkpoint_, name); }

  std::vector<std::string> weights() const override {
    std::vector<std::string> out;
    for (const std::string& name : checkpoint_.names()) {
      if (is_plain_weight(checkpoint_, name)) out.push_back(name.substr(0, name.size() - kSuffix.size()));
    }
    return out;
  }

 private:
  const Checkpoint& checkpoint_;
};

class PlainEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "plain"; }
  std::string_view what() const override { return "f32, f16 or bf16 tensors"; }

  bool wrote(const Checkpoint&, const JsonObject* quantization_config) const override {
    return quantization_config == nullptr;
  }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject*) const override {
    return std::make_unique<PlainWeights>(checkpoint);
  }
};

}  // namespace

bool is_plain_weight(const Checkpoint& checkpoint, std::string_view tensor) {
  if (!tensor.ends_with(kSuffix)) return false;
  const Checkpoint::Entry* entry = checkpoint.find(tensor);
  return entry != nullptr && entry->shape.rank() == 2 && is_float(entry->dtype);
}

std::optional<StoredWeight> describe_plain(const Checkpoint& checkpoint, std::string_view name) {
  std::string full = std::string(name) + std::string(kSuffix);
  const Checkpoint::Entry* entry = checkpoint.find(full);
  if (entry == nullptr) return std::nullopt;
  const std::string where = entry->file.string() + ": " + full;
  if (!is_float(entry->dtype)) {
    throw Error(where, "is of dtype " + std::string(dtype_name(entry->dtype)) + " without being declared quantized",
                "f32, f16 or bf16");
  }
  const Shape& shape = entry->shape;
  if (shape.rank() != 2 && shape.rank() != 3) throw Error(where, "is of shape " + shape.text(), "a matrix");
  const int64_t bytes = storage_bytes(entry->dtype, shape.count());
  const int64_t rows = shape.rank() == 3 ? shape[0] * shape[1] : shape[0];  // a stack of matrices: all their rows
  return StoredWeight{{}, entry->dtype, rows, shape[-1], bytes, {std::move(full)}};
}

Weight read_plain(const Checkpoint& checkpoint, std::string_view name) {
  const Tensor tensor = checkpoint.tensor(std::string(name) + std::string(kSuffix));
  return float_weight(tensor.reshaped(Shape{tensor.rows(), tensor.cols()}));
}

const Encoding& plain_encoding() {
  static const PlainEncoding encoding;
  return encoding;
}

}  // namespace omni
