#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/encoding.h"

namespace {

// A checkpoint of one float matrix: what an encoding reads from its config must not depend on more.
class OneMatrix final : public omni::Checkpoint {
 public:
  OneMatrix() {
    entry_.dtype = omni::DType::kF32;
    entry_.shape = omni::Shape{4, 32};
    entry_.file = "x.safetensors";
    values_ = omni::Tensor(entry_.dtype, entry_.shape);
    for (int i = 0; i < 4 * 32; ++i) values_.f32()[i] = static_cast<float>(i);
  }
  const Entry* find(std::string_view name) const override { return name == kName ? &entry_ : nullptr; }
  omni::Tensor tensor(std::string_view name) const override {
    if (name != kName) throw omni::Error("x.safetensors", "there is no such tensor", kName);
    return values_;
  }
  std::vector<std::string> names() const override { return {kName}; }
  std::string metadata(std::string_view) const override { return ""; }
  std::string where() const override { return "x.safetensors"; }

 private:
  static constexpr const char* kName = "model.layers.0.mlp.up_proj.weight";
  Entry entry_;
  omni::Tensor values_;
};

}  // namespace

// libFuzzer: any config.json is read by every encoding that knows it, or is an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const OneMatrix checkpoint;
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const omni::JsonObject config = omni::JsonObject::parse(text, "config.json");
    const std::optional<omni::JsonObject> found = omni::find_quantization_config(checkpoint, config);
    const omni::JsonObject* quantization = found ? &*found : nullptr;
    const omni::Encoding& encoding = omni::find_encoding(checkpoint, quantization);
    const auto stored = encoding.open(checkpoint, quantization);
    omni::check_headers(checkpoint, *stored);
    omni::check_values(*stored);
  } catch (const omni::Error&) {
  }
  return 0;
}
