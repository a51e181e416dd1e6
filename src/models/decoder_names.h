#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/weight_source.h"

namespace omni {

// Decoder-only text models: Hugging Face's names (ours) in the names that llama.cpp gives them in GGUF files.
// architecture: general.architecture. Throws Error naming the architectures there are maps for.
NameMap gguf_decoder_names(std::string_view architecture, int64_t heads, int64_t kv_heads);
std::vector<std::string> gguf_decoder_architectures();  // sorted

}  // namespace omni
