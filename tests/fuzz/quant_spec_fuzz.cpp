#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "quant/config.h"

// libFuzzer: any text of --quantization is a config, which its own normal form gives again, or an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const omni::QuantConfigOptions options{.components = {"transformer", "text_encoder", "vae"}};
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const omni::QuantConfig config = omni::parse_quant_config(text, options);
    const nlohmann::json normal = config.normal_form();
    if (omni::build_quant_config(normal, options).normal_form() != normal) __builtin_trap();
  } catch (const omni::Error&) {
  }
  return 0;
}
