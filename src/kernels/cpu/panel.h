#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/linear.h"
#include "quant/weight.h"

// Weights in panels of 32 outputs, K-major within a panel: what the GEMM kernels read. Bytes are drawn in
// docs/formats.md.
namespace omni::cpu {

inline constexpr int64_t kPanelColumns = 32;

// Scales (or zeros) of a packed weight. row_group 1: [panel][groups][32]; else as in the canonical weight, one value
// for row_group outputs (0: for all).
struct ScaleView {
  const void* data = nullptr;  // null: there are none
  DType dtype = DType::kNone;
  int64_t groups = 1;
  int64_t group_columns = 0;  // values of k a group; 0: all
  int row_group = 1;
};

// A packed weight as plain pointers.
struct PanelView {
  Layout layout = Layout::kPanelF32;
  DType codes_dtype = DType::kNone;
  int bits = 0;  // of a code
  const std::byte* data = nullptr;
  int64_t panel_bytes = 0;
  int64_t rows = 0, k = 0;
  ScaleView scales{}, outer_scales{}, zeros{}, outer_zeros{};
  Zero zero = Zero::kNone;
  const int32_t* sums = nullptr;
  bool column_scales = false;  // one scale over all of k and no zeros: applied to the sums, not to the codes
};
PanelView panel_view(const Weight& packed);

// True when the scale may be applied to finished sums: one group along k, no zeros.
bool has_column_scales(const QuantScheme& scheme, int64_t k);

// Empty, or why kPanelCodes cannot hold this scheme.
std::string why_no_code_panels(const QuantScheme& scheme, int64_t k);

// A canonical weight into a layout: kPanelF32 and kPanelBF16 from floats (rounded to nearest even), kPanelCodes,
// kPanelI8Quads (with panel_sums) and kPanelI8Pairs from codes.
Weight pack_panels(ThreadPool* pool, const Weight& canonical, Layout layout);
// Bytes of what pack_panels returns.
int64_t panel_bytes(const LinearProblem& problem, Layout layout);

}  // namespace omni::cpu
