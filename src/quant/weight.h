#pragma once
#include <cstdint>
#include <string_view>

#include "quant/scheme.h"
#include "tensor/tensor.h"

namespace omni {

// Where the bits lie. kCanonical: row-major parts as below. kPanel*: a kernel's packing (docs/formats.md).
enum class Layout : uint8_t { kCanonical, kPanelF32, kPanelBF16, kPanelCodes, kPanelI8Quads, kPanelI8Pairs };
std::string_view layout_name(Layout layout);

// One matrix of rows = N outputs and cols = K inputs in some scheme and layout. A value; parts that a scheme lacks are
// empty. Canonical shapes, with G = ceil(cols / scale.group.cols), H = ceil(cols / outer_scale.group.cols), a group of
// 0 columns counting as one group, and rows / group.rows likewise (Group{0, 0}: one scale for the tensor, shape [1,
// 1]):
//   codes        [rows, cols]  float scheme: f32, f16 or bf16 values; else scheme.codes in canonical storage
//   scales       [rows, G]     in scale.dtype
//   outer_scales [rows, H]     in outer_scale.dtype
//   zeros        [rows, G]     kPoint: f32 points in units of codes; kMinimum: in scale.dtype
//   outer_zeros  [rows, H]     kMinimum with an outer scale: in outer_scale.dtype
//   input_scale  [1]           static activation scale, f32
//   order        [cols]     scheme.ordered: i32, the scale group of each column
//   smooth       [cols]     scheme.smooth: f32 factors of the input of the quantized part
//   low_rank_down [R, cols], low_rank_up [rows, R]: scheme.low_rank = R: bf16, f16 or f32; eat the input as it comes
// cols of 4-bit codes must be even.
struct Weight {
  QuantScheme scheme;
  Layout layout = Layout::kCanonical;
  int64_t rows = 0, cols = 0;
  Tensor codes, scales, outer_scales, zeros, outer_zeros, input_scale;
  Tensor order, smooth, low_rank_down, low_rank_up;
  Tensor panel_sums;  // kPanelI8*: i32 sums a column, padded rows

  int64_t bytes() const;  // bytes of all parts
  DType float_dtype() const { return scheme.quantized() ? DType::kNone : codes.dtype(); }
};

// A float matrix as a Weight. values: [rows, cols] f32, f16 or bf16.
Weight float_weight(Tensor values);

// Rows of several weights one below the other. All must share the scheme and cols; per-tensor scales that differ become
// per-channel (exact). Throws Error naming where when they do not fit together.
Weight concat_rows(std::span<const Weight> parts, std::string_view where);

// Rows [begin, begin + count) of a canonical weight; shares memory where it can. Throws Error naming where and both
// numbers when a scale group of several rows would be cut.
Weight slice_rows(const Weight& weight, int64_t begin, int64_t count, std::string_view where);

// A canonical weight whose row i is row from[i] of weight (a permutation). Throws Error naming where when it would mix
// rows of different scale groups.
Weight permute_rows(const Weight& weight, std::span<const int64_t> from, std::string_view where);

}  // namespace omni
