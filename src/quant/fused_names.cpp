#include "quant/fused_names.h"

#include <array>
#include <string_view>

namespace omni {
namespace {

struct FusedName {
  std::string_view part, fused;
};
constexpr std::array kFusedNames = {
    FusedName{"add_k_proj", "add_kv_proj"},
    FusedName{"add_k_proj", "to_added_qkv"},
    FusedName{"add_q_proj", "add_kv_proj"},
    FusedName{"add_q_proj", "to_added_qkv"},
    FusedName{"add_v_proj", "add_kv_proj"},
    FusedName{"add_v_proj", "to_added_qkv"},
    FusedName{"gate_proj", "gate_up_proj"},
    FusedName{"k_proj", "qkv_proj"},
    FusedName{"q_proj", "qkv_proj"},
    FusedName{"to_k", "to_qkv"},
    FusedName{"to_q", "to_qkv"},
    FusedName{"to_v", "to_qkv"},
    FusedName{"up_proj", "gate_up_proj"},
    FusedName{"v_proj", "qkv_proj"},
    FusedName{"w1", "w13"},
    FusedName{"w3", "w13"},
};

}  // namespace

std::vector<std::string> fused_aliases(const std::string& path) {
  std::vector<std::string> out;
  const std::string_view leaf = std::string_view(path).substr(path.rfind('.') + 1);
  for (const FusedName& name : kFusedNames) {
    if (name.part == leaf) out.push_back(path.substr(0, path.size() - leaf.size()) + std::string(name.fused));
  }
  return out;
}

}  // namespace omni
