#include "checkpoint/gguf_rows.h"

#include "quant/codec_parts.h"

namespace omni {
namespace {

int64_t bytes_a_block(const ScaleSpec& spec, int block_values) {
  if (spec.dtype == DType::kNone || spec.group.cols == 0) return 0;
  return storage_bytes(spec.dtype, block_values / spec.group.cols);
}

std::byte* block_of(const Tensor& part, int64_t row, int64_t block, int64_t bytes) {
  if (part.empty() || bytes == 0) return nullptr;
  return part.raw() + storage_bytes(part.dtype(), row * part.row_stride()) + block * bytes;
}

uint8_t* codes_of(const Weight& weight, int64_t row) {
  return weight.codes.data<uint8_t>() + storage_bytes(weight.codes.dtype(), row * weight.codes.row_stride());
}

}  // namespace

BlockSteps::BlockSteps(const GgmlTypeInfo& info)
    : scale_bytes_(bytes_a_block(info.scheme.scale, info.block_values)),
      outer_bytes_(bytes_a_block(info.scheme.outer_scale, info.block_values)) {}

BlockParts BlockSteps::parts(const Weight& weight, int64_t row, int64_t block) const {
  return {nullptr, block_of(weight.scales, row, block, scale_bytes_), block_of(weight.zeros, row, block, scale_bytes_),
          block_of(weight.outer_scales, row, block, outer_bytes_),
          block_of(weight.outer_zeros, row, block, outer_bytes_)};
}

void spread_codes(const Weight& weight, int64_t row, std::span<uint8_t> codes) {
  const uint8_t* stored = codes_of(weight, row);
  if (!is_nibble(weight.scheme.codes)) {
    std::memcpy(codes.data(), stored, codes.size());
    return;
  }
  const size_t pairs = codes.size() / 2;  // both nibbles of a byte as one 16-bit number
  for (size_t i = 0; i < pairs; ++i) {
    const auto pair = static_cast<uint16_t>((stored[i] & 0xf) | (stored[i] & 0xf0) << 4);
    std::memcpy(codes.data() + 2 * i, &pair, 2);
  }
}

void join_codes(std::span<const uint8_t> codes, int64_t row, Weight& weight) {
  uint8_t* stored = codes_of(weight, row);
  if (!is_nibble(weight.scheme.codes)) {
    std::memcpy(stored, codes.data(), codes.size());
    return;
  }
  const size_t pairs = codes.size() / 2;
  for (size_t i = 0; i < pairs; ++i) {
    uint16_t pair;
    std::memcpy(&pair, codes.data() + 2 * i, 2);
    stored[i] = static_cast<uint8_t>(pair | pair >> 4);
  }
}

}  // namespace omni
