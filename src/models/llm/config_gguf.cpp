#include "base/error.h"
#include "models/llm/config.h"

namespace omni {

LlmConfig LlmConfig::from_gguf(const Checkpoint& checkpoint) {
  throw Error(checkpoint.where(), "is no GGUF file", "a GGUF file");
}

std::vector<std::string_view> llm_gguf_architectures() {
  return {"llama", "qwen2", "qwen3", "qwen3moe"};
}

}  // namespace omni
