#include "checkpoint/encoding_gguf.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <set>

#include "base/error.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_rows.h"
#include "quant/codec_parts.h"

namespace omni {
namespace {

constexpr std::string_view kSuffix = ".weight";

bool is_plain_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// A matrix: all but the last of a tensor's dimensions are its rows.
int64_t rows_of(const Checkpoint::Entry& entry) {
  return entry.shape.count() / entry.shape[-1];
}

// Integers and f64 as f32, rounded to nearest.
template <class T>
Tensor converted(const std::byte* bytes, Shape shape) {
  Tensor out(DType::kF32, shape);
  for (int64_t i = 0; i < shape.count(); ++i) {
    T value;
    std::memcpy(&value, bytes + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    out.f32()[i] = static_cast<float>(value);
  }
  return out;
}

Tensor read_scalars(GgmlType type, const Tensor& rows, Shape shape) {
  if (type == GgmlType::kI8) return converted<int8_t>(rows.raw(), shape);
  if (type == GgmlType::kI16) return converted<int16_t>(rows.raw(), shape);
  if (type == GgmlType::kI32) return converted<int32_t>(rows.raw(), shape);
  if (type == GgmlType::kI64) return converted<int64_t>(rows.raw(), shape);
  assert(type == GgmlType::kF64);
  return converted<double>(rows.raw(), shape);
}

// Scales must be finite; a zero one may stand over any codes, since ggml's encoders leave them there. A negative scale
// is a mirrored group, which they write too.
void check_scales(const Tensor& scales, std::string_view what, const std::string& where, int64_t first_row) {
  if (scales.empty()) return;
  for (int64_t row = 0; row < scales.rows(); ++row) {
    for (int64_t col = 0; col < scales.cols(); ++col) {
      const float value = read_scale(scales, row, col);
      if (std::isfinite(value)) continue;
      throw Error(where,
                  std::string(what) + " " + std::to_string(col) + " of row " + std::to_string(first_row + row) +
                      (std::isnan(value) ? " is NaN" : " is infinite"),
                  "finite scales");
    }
  }
}

Tensor scale_part(const ScaleSpec& spec, int64_t rows, int64_t cols) {
  if (spec.dtype == DType::kNone) return {};
  return Tensor(spec.dtype, Shape{rows, group_count(cols, spec.group.cols)});
}

class GgufWeights final : public StoredWeights {
 public:
  explicit GgufWeights(const GgufCheckpoint& checkpoint) : checkpoint_(checkpoint) {
    for (const std::string& name : checkpoint.names()) {
      quantized_ = quantized_ || checkpoint.type(name).scheme.quantized();
    }
  }

  std::string_view method() const override { return quantized_ ? "gguf" : ""; }

  std::optional<StoredWeight> describe(std::string_view name) const override {
    const std::string full = full_name(name);
    const Checkpoint::Entry* entry = checkpoint_.find(full);
    if (entry == nullptr) return std::nullopt;
    const GgmlTypeInfo& info = checkpoint_.type(full);
    StoredWeight out{info.scheme, DType::kNone, rows_of(*entry), entry->shape[-1], 0, {full}};
    if (!info.scheme.quantized()) out.float_dtype = is_plain_float(info.dtype) ? info.dtype : DType::kF32;
    out.bytes = entry->shape.count() / info.block_values * info.block_bytes;
    if (info.type == GgmlType::kNVFP4) add_factor(full, *entry, out);
    return out;
  }

  Weight read(std::string_view name) const override { return read_rows(name, 0, describe(name)->rows); }

  Weight read_rows(std::string_view name, int64_t begin, int64_t count) const override {
    const StoredWeight stored = *describe(name);
    assert(begin >= 0 && count >= 0 && begin + count <= stored.rows);
    const std::string& full = stored.tensors[0];
    const GgmlTypeInfo& info = checkpoint_.type(full);
    const Tensor tensor = checkpoint_.tensor(full);
    const Tensor rows = tensor.reshaped(Shape{stored.rows, tensor.shape().count() / stored.rows});
    const Tensor part = rows.row_range(begin, count);
    if (is_plain_float(info.dtype)) return float_weight(part);
    if (!info.scheme.quantized()) return float_weight(read_scalars(info.type, part, Shape{count, stored.cols}));
    return read_blocks(stored, info, part, begin);
  }

  std::vector<std::string> weights() const override {
    std::set<std::string> out;
    for (const std::string& name : checkpoint_.names()) {
      const bool matrix = checkpoint_.find(name)->shape.rank() >= 2 || checkpoint_.type(name).scheme.quantized();
      if (matrix) out.insert(name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name);
    }
    return {out.begin(), out.end()};
  }

 private:
  std::string full_name(std::string_view name) const {
    std::string with_suffix = std::string(name) + std::string(kSuffix);
    return checkpoint_.find(with_suffix) != nullptr ? with_suffix : std::string(name);
  }

  std::string where(const std::string& full) const { return checkpoint_.find(full)->file.string() + ": " + full; }

  // NVFP4 as ModelOpt makes it has a factor of the whole matrix beside it, or one an expert: NAME.scale. The scale of
  // activations (NAME.input_scale) is claimed, and has no use where activations are not quantized.
  void add_factor(const std::string& full, const Checkpoint::Entry& entry, StoredWeight& out) const {
    if (!full.ends_with(kSuffix)) return;
    const std::string stem = full.substr(0, full.size() - kSuffix.size());
    for (const std::string& beside : {stem + ".scale", stem + ".input_scale"}) {
      const Checkpoint::Entry* factor = checkpoint_.find(beside);
      if (factor == nullptr) continue;
      const int64_t count = factor->shape.count(), experts = entry.shape.rank() == 3 ? entry.shape[0] : 1;
      if (factor->dtype != DType::kF32 || (count != 1 && count != experts)) {
        throw Error(where(beside), "is of shape " + factor->shape.text(),
                    experts == 1 ? "one f32 number" : "f32 numbers, one of each of " + std::to_string(experts));
      }
      out.tensors.push_back(beside);
      out.bytes += count * 4;
      if (beside == stem + ".scale") out.scheme.outer_scale = {DType::kF32, Group{count == 1 ? 0 : 1, 0}};
    }
  }

  // outer_scales of rows [begin, begin + count) from NAME.scale.
  Tensor read_factor(const StoredWeight& stored, int64_t begin, int64_t count) const {
    const Tensor factors = checkpoint_.tensor(stored.tensors[1]);
    const int64_t factor_count = factors.shape().count(), rows = factor_count == 1 ? 1 : count;
    Tensor out(DType::kF32, Shape{rows, 1});
    for (int64_t row = 0; row < rows; ++row) {
      out.f32()[row] = factors.f32()[(begin + row) * factor_count / stored.rows];
      if (out.f32()[row] < 0) throw Error(where(stored.tensors[1]), "is negative", "scales of at least 0");
    }
    check_scales(out, "number", where(stored.tensors[1]), 0);
    return out;
  }

  Weight read_blocks(const StoredWeight& stored, const GgmlTypeInfo& info, const Tensor& blocks, int64_t begin) const {
    const std::string at = where(stored.tensors[0]);
    const int64_t count = blocks.rows(), cols = stored.cols;
    const QuantScheme& scheme = stored.scheme;
    Weight out;
    out.scheme = scheme;
    out.rows = count;
    out.cols = cols;
    out.codes = Tensor(scheme.codes, Shape{count, cols});
    out.scales = scale_part(scheme.scale, count, cols);
    if (scheme.zero == Zero::kMinimum) out.zeros = scale_part(scheme.scale, count, cols);
    if (info.type == GgmlType::kNVFP4) {
      if (scheme.outer_scale.dtype != DType::kNone) out.outer_scales = read_factor(stored, begin, count);
    } else {
      out.outer_scales = scale_part(scheme.outer_scale, count, cols);
      if (scheme.zero == Zero::kMinimum) out.outer_zeros = scale_part(scheme.outer_scale, count, cols);
    }
    unpack_rows(info, blocks, at, begin, out);
    check_scales(out.scales, "scale", at, begin);
    check_scales(out.zeros, "minimum", at, begin);
    check_scales(out.outer_scales, "outer scale", at, begin);
    check_scales(out.outer_zeros, "outer minimum", at, begin);
    return out;
  }

  static void unpack_rows(const GgmlTypeInfo& info, const Tensor& blocks, const std::string& where, int64_t begin,
                          Weight& out) {
    const UnpackBlock unpack = find_block_format(info.type)->unpack;
    const BlockSteps steps(info);
    std::vector<uint8_t> codes(static_cast<size_t>(out.cols));
    for (int64_t row = 0; row < out.rows; ++row) {
      const uint8_t* block = blocks.data<uint8_t>() + row * blocks.row_stride();
      for (int64_t i = 0; i < out.cols / info.block_values; ++i, block += info.block_bytes) {
        BlockParts parts = steps.parts(out, row, i);
        parts.codes = codes.data() + i * info.block_values;
        const std::string_view wrong = unpack(block, parts);
        if (wrong.empty()) continue;
        throw Error(where,
                    std::string(wrong) + " in row " + std::to_string(begin + row) + ", columns from " +
                        std::to_string(i * info.block_values),
                    "numbers that an encoder of " + std::string(info.name) + " writes");
      }
      join_codes(codes, row, out);
    }
  }

  const GgufCheckpoint& checkpoint_;
  bool quantized_ = false;
};

class GgufEncoding final : public Encoding {
 public:
  std::string_view name() const override { return "gguf"; }
  std::string_view what() const override {
    return "GGUF files of llama.cpp and city96's converters: every ggml type, split files";
  }

  bool wrote(const Checkpoint& checkpoint, const JsonObject*) const override { return as_gguf(checkpoint) != nullptr; }

  std::unique_ptr<StoredWeights> open(const Checkpoint& checkpoint, const JsonObject*) const override {
    return std::make_unique<GgufWeights>(*as_gguf(checkpoint));
  }
};

}  // namespace

const Encoding& gguf_encoding() {
  static const GgufEncoding encoding;
  return encoding;
}

}  // namespace omni
