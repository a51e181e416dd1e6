#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "checkpoint/gguf_header.h"

// libFuzzer: any bytes are a sound header or an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    (void)omni::parse_gguf_header({reinterpret_cast<const std::byte*>(data), size}, "input");
  } catch (const omni::Error&) {
  }
  return 0;
}
