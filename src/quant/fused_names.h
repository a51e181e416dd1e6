#pragma once
#include <string>
#include <vector>

namespace omni {

// Runtime names of layers that are one matrix there and several here: "attn.to_q" is also "attn.to_qkv".
std::vector<std::string> fused_aliases(const std::string& path);

}  // namespace omni
