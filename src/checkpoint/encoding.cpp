#include "checkpoint/encoding.h"

#include <array>
#include <string>

#include "base/error.h"
#include "checkpoint/encoding_plain.h"

namespace omni {
namespace {

// The method that a quantization_config names, under whichever key its tool uses.
std::string method_of(const JsonObject& config) {
  if (config.has("quant_method")) return config.string("quant_method");
  if (config.has("quant_algo")) return config.string("quant_algo");
  if (config.has("quantization") && config.object("quantization").has("quant_algo")) {
    return config.object("quantization").string("quant_algo");
  }
  throw Error(config.where(), "declares a quantized checkpoint without naming the method", "a key quant_method");
}

}  // namespace

std::span<const Encoding* const> encodings() {
  static const std::array list = {
      &plain_encoding(),
  };
  return list;
}

const Encoding& find_encoding(const Checkpoint& checkpoint, const JsonObject* quantization_config) {
  std::string known;
  for (const Encoding* encoding : encodings()) {
    if (encoding->wrote(checkpoint, quantization_config)) return *encoding;
    known += (known.empty() ? "" : ", ") + std::string(encoding->name());
  }
  const std::string method = quantization_config == nullptr ? "" : method_of(*quantization_config);
  throw Error(quantization_config == nullptr ? checkpoint.where() : quantization_config->where(),
              "the checkpoint is stored by the method '" + method + "', which cannot be read yet",
              "one of the encodings " + known);
}

}  // namespace omni
