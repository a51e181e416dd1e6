#include "checkpoint/encoding_plain.h"

#include <string>

#include "base/error.h"

namespace omni {
namespace {

class PlainEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "plain"; }

  bool wrote(const Checkpoint&, const JsonObject* quantization_config) const override {
    return quantization_config == nullptr;
  }

  std::optional<StoredWeight> describe(const Checkpoint& checkpoint, std::string_view name) const override {
    const std::string full = std::string(name) + ".weight";
    const Checkpoint::Entry* entry = checkpoint.find(full);
    if (entry == nullptr) return std::nullopt;
    const std::string where = entry->file.string() + ": " + full;
    if (entry->dtype != DType::kF32 && entry->dtype != DType::kF16 && entry->dtype != DType::kBF16) {
      throw Error(
          where,
          "is of dtype " + std::string(dtype_name(entry->dtype)) + " in a checkpoint that declares no quantization",
          "f32, f16 or bf16");
    }
    if (entry->shape.rank() != 2) throw Error(where, "is of shape " + entry->shape.text(), "a matrix");
    const int64_t bytes = storage_bytes(entry->dtype, entry->shape.count());
    return StoredWeight{{}, entry->dtype, entry->shape[0], entry->shape[1], bytes};
  }

  std::optional<Weight> read(const Checkpoint& checkpoint, std::string_view name) const override {
    if (!describe(checkpoint, name)) return std::nullopt;
    return float_weight(checkpoint.tensor(std::string(name) + ".weight"));
  }
};

}  // namespace

const Encoding& plain_encoding() {
  static const PlainEncoding encoding;
  return encoding;
}

}  // namespace omni
