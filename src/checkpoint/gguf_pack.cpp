#include <cassert>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/gguf_rows.h"
#include "quant/codec_parts.h"
#include "quant/scheme.h"

namespace omni {

namespace {

// A weight whose scheme differs from the type's only in the matrix's own factor, which lies beside the blocks.
bool holds(const GgmlTypeInfo& info, const QuantScheme& scheme) {
  if (info.type == GgmlType::kNVFP4) return ggml_type_of(scheme) == GgmlType::kNVFP4;
  return info.scheme == scheme;
}

Tensor pack_blocks(const Weight& weight, const GgmlTypeInfo& info, PackBlock pack, std::string_view where) {
  const int64_t blocks = weight.cols / info.block_values;
  Tensor out(DType::kU8, Shape{weight.rows, blocks * info.block_bytes});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));  // packers set bits
  const BlockSteps steps(info);
  std::vector<uint8_t> codes(static_cast<size_t>(weight.cols));
  for (int64_t row = 0; row < weight.rows; ++row) {
    spread_codes(weight, row, codes);
    uint8_t* block = out.data<uint8_t>() + row * out.row_stride();
    for (int64_t i = 0; i < blocks; ++i, block += info.block_bytes) {
      const BlockParts at = steps.parts(weight, row, i);
      const std::string_view wrong =
          pack({codes.data() + i * info.block_values, at.scales, at.zeros, at.outer, at.outer_zeros}, block);
      if (wrong.empty()) continue;
      throw Error(std::string(where),
                  std::string(wrong) + " at row " + std::to_string(row) + ", columns from " +
                      std::to_string(i * info.block_values),
                  "numbers that " + std::string(info.name) + " can store");
    }
  }
  return out;
}

}  // namespace

Tensor to_gguf_blocks(const Weight& weight, GgmlType type, std::string_view where) {
  assert(weight.layout == Layout::kCanonical);
  const GgmlTypeInfo& info = ggml_type_info(type);
  if (!weight.scheme.quantized()) {
    if (info.dtype != weight.float_dtype()) {
      throw Error(std::string(where), "holds " + std::string(dtype_name(weight.float_dtype())),
                  "values for " + std::string(info.name));
    }
    Tensor out(DType::kU8, Shape{weight.rows, weight.cols * info.block_bytes});
    const auto bytes = static_cast<size_t>(out.cols());
    for (int64_t row = 0; row < weight.rows; ++row) {
      std::memcpy(out.raw() + row * out.cols(), weight.codes.raw() + row * weight.codes.row_stride() * info.block_bytes,
                  bytes);
    }
    return out;
  }
  const BlockFormat* format = find_block_format(type);
  if (!holds(info, weight.scheme) || format == nullptr || format->pack == nullptr) {
    throw Error(std::string(where), "is stored as " + weight.scheme.text(),
                "a scheme that " + std::string(info.name) + " can hold");
  }
  if (weight.cols % info.block_values != 0) {
    throw Error(std::string(where), "has rows of " + std::to_string(weight.cols) + " values",
                "a multiple of " + std::to_string(info.block_values) + " for " + std::string(info.name));
  }
  return pack_blocks(weight, info, format->pack, where);
}

}  // namespace omni
