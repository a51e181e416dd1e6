#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.h"
#include "checkpoint/encoding.h"

namespace omni {

// What encodings share: checks of the tensors that spell a quantized matrix, with messages that name file, tensor,
// expected and found.

// "FILE: TENSOR"; of a tensor that is not there, the checkpoint's file or folder.
std::string tensor_where(const Checkpoint& checkpoint, std::string_view tensor);
// Bytes of all of these tensors, which exist.
int64_t stored_bytes(const Checkpoint& checkpoint, const std::vector<std::string>& tensors);

// The entry of a tensor that must be there; what says for which reason ("the weight is quantized").
const Checkpoint::Entry& need_entry(const Checkpoint& checkpoint, std::string_view tensor, std::string_view what);
// Throws Error unless its dtype is one of dtypes.
void check_dtype(const Checkpoint& checkpoint, std::string_view tensor, std::initializer_list<DType> dtypes);
// Throws Error unless its shape is [rows, cols], or that with extents of 1 left out or (block scales) put between.
void check_grid(const Checkpoint& checkpoint, std::string_view tensor, int64_t rows, int64_t cols);
// Throws Error unless it has one element; for scales of a whole tensor.
void check_single(const Checkpoint& checkpoint, std::string_view tensor);

// A scale of a whole tensor. Throws Error unless it is one finite value > 0.
float read_single_scale(const Checkpoint& checkpoint, std::string_view tensor);

// Which scales a tool writes at all; a zero one is judged with its codes (check_zero_scales).
enum class ScaleSign : uint8_t { kPositive, kAny };
// Throws Error naming where and the place of the first scale that is not finite or, for kPositive, negative.
void check_scale_values(const Tensor& scales, ScaleSign sign, const std::string& where);
// Throws Error for a scale that is zero over codes that stand for other values.
void check_zero_scales(const Weight& weight, const std::string& where);
// Throws Error naming where and the place of the first code that stands for NaN or infinity; integers pass.
void check_float_codes(const Tensor& codes, const std::string& where);

// What the tensors of a module say about its weight, whatever the config says.
enum class Evidence : uint8_t { kNone, kFloat, kQuantized };
// kFloat: NAME.weight is a float matrix and no part of a quantized one is beside it; kQuantized: it has such parts or
// codes for a weight; kNone: there is no matrix at all.
Evidence weight_evidence(const Checkpoint& checkpoint, std::string_view module);

// describe_plain, for a layer that the config leaves in float: Error when its tensor holds codes.
std::optional<StoredWeight> describe_float(const Checkpoint& checkpoint, std::string_view module);

using KvScaleMap = std::map<std::string, KvScales, std::less<>>;
// The KV-cache scales of all attention modules, by the module's name, in every spelling of the field: A.k_scale,
// A.k_proj.k_scale, A.qkv_proj.k_scale, A.k_proj.output_scale, A.kv_scale. One a head: the largest. Throws Error for a
// key without a value or the other way round, and for values that are no scale.
KvScaleMap read_kv_scales(const Checkpoint& checkpoint);
// Throws Error for a quantized A.k_proj without scales of A, when other attention modules have some.
void check_kv_scales(const Checkpoint& checkpoint, const KvScaleMap& scales,
                     FunctionRef<bool(std::string_view module)> is_quantized);

}  // namespace omni
