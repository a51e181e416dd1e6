#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "base/error.h"
#include "checkpoint/stored_parts.h"

namespace omni {
namespace {

// What a tensor's name says about the KV cache.
struct KvPart {
  std::string_view suffix;  // after the attention module's name
  bool key, value;
};
constexpr std::array kKvParts = {
    KvPart{".k_scale", true, false},
    KvPart{".v_scale", false, true},
    KvPart{".k_proj.k_scale", true, false},
    KvPart{".v_proj.v_scale", false, true},
    KvPart{".qkv_proj.k_scale", true, false},
    KvPart{".qkv_proj.v_scale", false, true},
    KvPart{".k_proj.output_scale", true, false},
    KvPart{".v_proj.output_scale", false, true},
    KvPart{".kv_scale", true, true},
};

struct Found {
  std::string key, value;  // tensors
};

// The largest of the scales, one a head or one in all.
float read_head_scales(const Checkpoint& checkpoint, const std::string& tensor) {
  check_dtype(checkpoint, tensor, {DType::kF32, DType::kF16, DType::kBF16});
  const Checkpoint::Entry& entry = *checkpoint.find(tensor);
  const std::string where = tensor_where(checkpoint, tensor);
  int extents = 0;
  for (int axis = 0; axis < entry.shape.rank(); ++axis) extents += entry.shape[axis] != 1 ? 1 : 0;
  if (extents > 1 || entry.shape.count() == 0 || entry.shape.count() > 4096)
    throw Error(where, "is of shape " + entry.shape.text(), "one scale, or one a head");
  const Tensor scales = to_f32(checkpoint.tensor(tensor));
  float largest = 0;
  for (const float scale : std::span(scales.f32(), static_cast<size_t>(entry.shape.count()))) {
    if (!std::isfinite(scale) || scale <= 0) throw Error(where, "is " + std::to_string(scale), "a finite scale > 0");
    largest = std::max(largest, scale);
  }
  return largest;
}

}  // namespace

KvScaleMap read_kv_scales(const Checkpoint& checkpoint) {
  std::map<std::string, Found, std::less<>> found;
  for (const std::string& name : checkpoint.names()) {
    if (!name.ends_with("_scale")) continue;
    const KvPart* best = nullptr;
    for (const KvPart& part : kKvParts) {
      if (name.ends_with(part.suffix) && (best == nullptr || part.suffix.size() > best->suffix.size())) best = &part;
    }
    if (best == nullptr) continue;
    Found& at = found[name.substr(0, name.size() - best->suffix.size())];
    if (best->key) at.key = name;
    if (best->value) at.value = name;
  }
  KvScaleMap out;
  for (const auto& [attention, tensors] : found) {
    if (tensors.key.empty() || tensors.value.empty()) {
      const std::string& there = tensors.key.empty() ? tensors.value : tensors.key;
      throw Error(tensor_where(checkpoint, there), "scales half of the KV cache of " + attention,
                  "a scale of the keys and one of the values");
    }
    out[attention] = {read_head_scales(checkpoint, tensors.key), read_head_scales(checkpoint, tensors.value)};
  }
  return out;
}

void check_kv_scales(const Checkpoint& checkpoint, const KvScaleMap& scales,
                     FunctionRef<bool(std::string_view module)> is_quantized) {
  constexpr std::string_view kKey = ".k_proj.weight", kPacked = ".k_proj.weight_packed";
  if (scales.empty()) return;  // the tool left them to be found while running
  for (const std::string& name : checkpoint.names()) {
    const std::string_view suffix = name.ends_with(kKey) ? kKey : name.ends_with(kPacked) ? kPacked : "";
    if (suffix.empty()) continue;
    const std::string attention = name.substr(0, name.size() - suffix.size());
    if (scales.contains(attention) || !is_quantized(attention + ".k_proj")) continue;
    throw Error(tensor_where(checkpoint, attention + ".k_scale"), "no such tensor",
                "a scale of the keys, as other layers have one");
  }
}

}  // namespace omni
