#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/encoding.h"
#include "checkpoint/module_list.h"
#include "checkpoint/stored_parts.h"

namespace omni {

// Where the codes of NAME.qweight lie (all words i32; G groups along the K inputs, N outputs):
//   kGptq     qweight [K * bits / 32, N], qzeros [G, N * bits / 32], scales [G, N], perhaps g_idx [K]
//   kAwqGemm  qweight [K, N / 8], qzeros [G, N / 8] in the order 0 2 4 6 1 3 5 7, scales [G, N]
//   kAwqGemv  qweight [N, K / 8], qzeros [N, W], scales [N, W * 8]: W words hold G zero points, perhaps more
enum class IntPacking : uint8_t { kGptq, kAwqGemm, kAwqGemv };

// How a tool of the GPTQ and AWQ family packed one layer.
struct PackedInt {
  IntPacking packing = IntPacking::kGptq;
  int bits = 4;
  int64_t group_size = -1;       // -1: the whole row
  bool symmetric = true;         // every zero point is half the range
  bool points_less_one = false;  // the stored zero points are one too small (GPTQ's first format)
  bool reordered = false;        // g_idx may be out of order
  ScaleSign sign = ScaleSign::kPositive;
};

// What a config says about one layer.
struct PackedLayer {
  NameMatch left_float = NameMatch::kNone;
  std::string left_float_by;  // the key of the config that says so
  PackedInt packed;
};
using PackedLayers = std::function<PackedLayer(std::string_view name)>;

// Throws Error naming where unless bits are of those the packing has and group_size is -1 or positive.
void check_packing(const PackedInt& packed, const std::string& where);

// True when the config's quant_method is one of names, in the folded spelling of quant/method.h.
bool says_method(const JsonObject* config, std::initializer_list<std::string_view> names);

// Sorted, each once: for lists of weights gathered from the names of their parts.
std::vector<std::string> sorted_names(std::vector<std::string> names);

// One quantized layer: headers only (and g_idx), and its values. Throw Error for parts that do not fit together.
StoredWeight describe_packed(const Checkpoint& checkpoint, std::string_view name, const PackedInt& packed);
Weight read_packed(const Checkpoint& checkpoint, std::string_view name, const PackedInt& packed);

// A checkpoint whose quantized layers are NAME.qweight and its parts, the others NAME.weight in floats. Layers that
// only a loose match leaves in float may be either. A float projection whose neighbours of the same block are
// quantized is refused unless the config lists it.
std::unique_ptr<StoredWeights> open_packed_ints(const Checkpoint& checkpoint, std::string method, PackedLayers layers);

}  // namespace omni
