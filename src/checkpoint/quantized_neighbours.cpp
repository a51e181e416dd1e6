#include "checkpoint/quantized_neighbours.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "checkpoint/stored_parts.h"

namespace omni {

void check_neighbours(const Checkpoint& checkpoint, std::string_view name, std::string_view suffix) {
  static constexpr std::array<std::string_view, 12> kTogether = {
      ".down_proj", ".gate_proj", ".gate_up_proj", ".k_proj", ".o_proj",  ".q_proj",
      ".qkv_proj",  ".to_k",      ".to_q",         ".to_v",   ".up_proj", ".v_proj",
  };
  const auto mine = std::ranges::find_if(kTogether, [&](std::string_view last) { return name.ends_with(last); });
  if (mine == kTogether.end()) return;
  const std::string block(name.substr(0, name.size() - mine->size()));
  for (const std::string_view last : kTogether) {
    const std::string other = block + std::string(last);
    if (checkpoint.find(other + std::string(suffix)) == nullptr) continue;
    throw Error(tensor_where(checkpoint, std::string(name) + ".weight"),
                "is a float weight, while " + other + " beside it is quantized",
                std::string(name) + std::string(suffix) + ", or an entry of the config that leaves the layer in float");
  }
}

}  // namespace omni
