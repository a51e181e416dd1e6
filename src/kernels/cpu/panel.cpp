#include "kernels/cpu/panel.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "kernels/cpu/panel_codes.h"
#include "tensor/float_bits.h"

namespace omni::cpu {
namespace {

int64_t panels_of(int64_t rows) {
  return (rows + kPanelColumns - 1) / kPanelColumns;
}

int64_t round_up(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Bytes of one panel's codes or values.
int64_t one_panel_bytes(Layout layout, int bits, int64_t k) {
  switch (layout) {
    case Layout::kCanonical:
      break;
    case Layout::kPanelF32:
      return k * kPanelColumns * 4;
    case Layout::kPanelBF16:
      return round_up(k, 2) * kPanelColumns * 2;
    case Layout::kPanelCodes:
      return round_up(k, 2) / 2 * code_pair_bytes(bits);
    case Layout::kPanelI8Quads:
      return round_up(k, 4) * kPanelColumns;
    case Layout::kPanelI8Pairs:
      return round_up(k, 2) * kPanelColumns;
  }
  assert(false && "not a panel layout");
  return 0;
}

int64_t group_count(int group, int64_t extent) {
  return group == 0 ? 1 : (extent + group - 1) / group;
}

int64_t scale_bytes(DType dtype, const Group& group, int64_t n, int64_t k) {
  const int64_t rows = group.rows == 1 ? panels_of(n) * kPanelColumns : group_count(group.rows, n);
  return storage_bytes(dtype, rows * group_count(group.cols, k));
}

// [rows, groups] -> [panel][groups][32], padded with zero bits; scales of several outputs stay as they are.
Tensor permute_scales(const Tensor& scales, const Group& group, int64_t rows) {
  if (scales.empty() || group.rows != 1) return scales;
  const int64_t panels = panels_of(rows), groups = scales.cols(), bytes = storage_bytes(scales.dtype(), 1);
  Tensor out(scales.dtype(), Shape{panels, groups, kPanelColumns});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  for (int64_t row = 0; row < rows; ++row) {
    const std::byte* from = scales.raw() + row * scales.row_stride() * bytes;
    std::byte* to = out.raw() + (row / kPanelColumns * groups * kPanelColumns + row % kPanelColumns) * bytes;
    for (int64_t g = 0; g < groups; ++g)
      std::memcpy(to + g * kPanelColumns * bytes, from + g * bytes, static_cast<size_t>(bytes));
  }
  return out;
}

float float_at(DType dtype, const std::byte* row, int64_t i) {
  if (dtype == DType::kF32) return reinterpret_cast<const float*>(row)[i];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(row)[i];
  return dtype == DType::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

// Column c of a panel from one row of floats.
void place_floats(const Weight& w, int64_t row, Layout layout, int64_t c, std::byte* panel) {
  const DType dtype = w.codes.dtype();
  const std::byte* from = w.codes.raw() + row * storage_bytes(dtype, w.codes.row_stride());
  if (layout == Layout::kPanelF32) {
    float* to = reinterpret_cast<float*>(panel) + c;
    for (int64_t k = 0; k < w.cols; ++k) to[k * kPanelColumns] = float_at(dtype, from, k);
    return;
  }
  uint16_t* to = reinterpret_cast<uint16_t*>(panel) + 2 * c;
  for (int64_t k = 0; k < w.cols; ++k) {
    to[k / 2 * (2 * kPanelColumns) + k % 2] =
        dtype == DType::kBF16 ? reinterpret_cast<const uint16_t*>(from)[k] : f32_to_bf16(float_at(dtype, from, k));
  }
}

// One row's codes as raw bits, a byte each.
void unpack_row(const Weight& w, int64_t row, uint8_t* out) {
  const DType dtype = w.scheme.codes;
  const int storage = dtype_info(dtype).storage_bits;
  const auto* from = w.codes.data<uint8_t>() + row * storage_bytes(dtype, w.cols);
  if (storage == 4) {
    for (int64_t k = 0; k < w.cols; ++k) out[k] = (from[k / 2] >> (4 * (k % 2))) & 15;
    return;
  }
  const int bias = code_bias(dtype), mask = (1 << dtype_info(dtype).bits) - 1;
  for (int64_t k = 0; k < w.cols; ++k) out[k] = static_cast<uint8_t>((from[k] + bias) & mask);
}

// Column c of a panel from one row of codes; the panel starts as zeros.
void place_codes(const uint8_t* codes, int64_t k_count, int bits, int64_t c, uint8_t* panel) {
  const int64_t pair_bytes = code_pair_bytes(bits);
  for (int64_t k = 0; k < k_count; ++k) {
    uint8_t* pair = panel + k / 2 * pair_bytes;
    const int64_t odd = k % 2;
    if (bits == 8) {
      pair[2 * c + odd] = codes[k];
      continue;
    }
    pair[c] = static_cast<uint8_t>(pair[c] | (codes[k] & 15) << (4 * odd));
    for (int plane = 0; plane < bits - 4; ++plane) {
      uint8_t& byte = pair[32 + 8 * plane + 4 * odd + c / 8];
      byte = static_cast<uint8_t>(byte | ((codes[k] >> (4 + plane)) & 1) << (c % 8));
    }
  }
}

// Column c of a panel of s8 in groups of `step` k.
void place_bytes(const uint8_t* codes, int64_t k_count, int64_t step, int64_t c, uint8_t* panel) {
  for (int64_t k = 0; k < k_count; ++k) panel[(k / step * kPanelColumns + c) * step + k % step] = codes[k];
}

int32_t sum_of(const uint8_t* codes, int64_t count) {
  int32_t sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += static_cast<int8_t>(codes[k]);
  return sum;
}

void pack_one_panel(const Weight& w, int64_t panel, Weight& out, uint8_t* row_codes) {
  const int64_t bytes = out.codes.bytes() / panels_of(w.rows);
  std::byte* to = out.codes.raw() + panel * bytes;
  std::memset(to, 0, static_cast<size_t>(bytes));
  for (int64_t c = 0; c < kPanelColumns; ++c) {
    const int64_t row = panel * kPanelColumns + c;
    if (row >= w.rows) break;
    if (!w.scheme.quantized()) {
      place_floats(w, row, out.layout, c, to);
      continue;
    }
    unpack_row(w, row, row_codes);
    auto* codes = reinterpret_cast<uint8_t*>(to);
    if (out.layout == Layout::kPanelCodes)
      place_codes(row_codes, w.cols, panel_bits(w.scheme.codes), c, codes);
    else
      place_bytes(row_codes, w.cols, out.layout == Layout::kPanelI8Quads ? 4 : 2, c, codes);
    if (!out.panel_sums.empty()) out.panel_sums.data<int32_t>()[row] = sum_of(row_codes, w.cols);
  }
}

ScaleView scale_view(const Tensor& tensor, const Group& group, int64_t k) {
  if (tensor.empty()) return {};
  return {.data = tensor.raw(),
          .dtype = tensor.dtype(),
          .groups = group_count(group.cols, k),
          .group_columns = group.cols,
          .row_group = group.rows};
}

}  // namespace

bool has_column_scales(const QuantScheme& scheme, int64_t k) {
  const bool whole = scheme.scale.group.cols == 0 || scheme.scale.group.cols >= k;
  return scheme.quantized() && scheme.zero == Zero::kNone && whole;
}

std::string why_no_code_panels(const QuantScheme& scheme, int64_t k) {
  switch (scheme.codes) {
    case DType::kI4:
    case DType::kU4:
    case DType::kF4E2M1:
    case DType::kNF4:
    case DType::kI2:
    case DType::kU2:
    case DType::kI3:
    case DType::kU3:
    case DType::kIQ4:
    case DType::kFP4BNB:
    case DType::kI5:
    case DType::kU5:
    case DType::kI6:
    case DType::kI8:
    case DType::kU8:
    case DType::kF8E4M3:
    case DType::kF8E5M2:
      break;
    case DType::kNone:
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF8E8M0:
    case DType::kI32:
    case DType::kI64:
    case DType::kBool:
      return std::string("no panels of ") + std::string(dtype_name(scheme.codes)) + " codes";
  }
  const int group = scheme.scale.group.cols, outer = scheme.outer_scale.group.cols;
  if (group % 2 != 0 && group < k) return "groups of " + std::to_string(group) + " columns cut a pair of k";
  if (outer != 0 && (group == 0 || outer % group != 0))
    return "outer groups of " + std::to_string(outer) + " columns do not hold whole groups of " + std::to_string(group);
  return {};
}

Weight pack_panels(ThreadPool* pool, const Weight& w, Layout layout) {
  assert(w.layout == Layout::kCanonical && w.rows > 0 && w.cols > 0);
  const QuantScheme& scheme = w.scheme;
  const int bits = scheme.quantized() ? panel_bits(scheme.codes) : 0;
  const int64_t panels = panels_of(w.rows), bytes = one_panel_bytes(layout, bits, w.cols);
  if (scheme.act == ActQuant::kStatic && w.input_scale.empty())
    throw Error("input scale", "is missing for static activations", "a weight with an input_scale");
  Weight out;
  out.scheme = scheme;
  out.layout = layout;
  out.rows = w.rows;
  out.cols = w.cols;
  if (layout == Layout::kPanelF32)
    out.codes = Tensor(DType::kF32, Shape{panels, bytes / 4});
  else if (layout == Layout::kPanelBF16)
    out.codes = Tensor(DType::kBF16, Shape{panels, bytes / 2});
  else
    out.codes = Tensor(DType::kU8, Shape{panels, bytes});
  out.scales = permute_scales(w.scales, scheme.scale.group, w.rows);
  out.zeros = permute_scales(w.zeros, scheme.scale.group, w.rows);
  out.outer_scales = permute_scales(w.outer_scales, scheme.outer_scale.group, w.rows);
  out.outer_zeros = permute_scales(w.outer_zeros, scheme.outer_scale.group, w.rows);
  out.input_scale = w.input_scale;
  if (layout == Layout::kPanelI8Quads) {
    out.panel_sums = Tensor(DType::kI32, Shape{panels * kPanelColumns});
    std::memset(out.panel_sums.raw(), 0, static_cast<size_t>(out.panel_sums.bytes()));
  }
  const int threads = pool == nullptr ? 1 : pool->threads();
  std::vector<std::vector<uint8_t>> rows(static_cast<size_t>(threads));
  for (auto& row : rows) row.resize(static_cast<size_t>(w.cols));
  const auto pack = [&](int64_t panel, int thread) {
    pack_one_panel(w, panel, out, rows[static_cast<size_t>(thread)].data());
  };
  if (pool != nullptr) {
    pool->parallel_for(panels, pack);
  } else {
    for (int64_t panel = 0; panel < panels; ++panel) pack(panel, 0);
  }
  return out;
}

int64_t panel_bytes(const LinearProblem& problem, Layout layout) {
  const QuantScheme& scheme = problem.scheme;
  const int64_t n = problem.n, k = problem.k, panels = panels_of(n);
  const int bits = scheme.quantized() ? panel_bits(scheme.codes) : 0;
  int64_t bytes = panels * one_panel_bytes(layout, bits, k);
  if (layout == Layout::kPanelI8Quads) bytes += panels * kPanelColumns * 4;
  if (!scheme.quantized()) return bytes;
  const bool outer = scheme.outer_scale.dtype != DType::kNone;
  bytes += scale_bytes(scheme.scale.dtype, scheme.scale.group, n, k);
  if (outer) bytes += scale_bytes(scheme.outer_scale.dtype, scheme.outer_scale.group, n, k);
  if (scheme.zero == Zero::kPoint) bytes += scale_bytes(DType::kF32, scheme.scale.group, n, k);
  if (scheme.zero == Zero::kMinimum) {
    bytes += scale_bytes(scheme.scale.dtype, scheme.scale.group, n, k);
    if (outer) bytes += scale_bytes(scheme.outer_scale.dtype, scheme.outer_scale.group, n, k);
  }
  if (scheme.act == ActQuant::kStatic) bytes += 4;
  return bytes;
}

PanelView panel_view(const Weight& packed) {
  const QuantScheme& scheme = packed.scheme;
  PanelView view;
  view.layout = packed.layout;
  view.codes_dtype = scheme.codes;
  view.bits = scheme.quantized() ? panel_bits(scheme.codes) : 0;
  view.data = packed.codes.raw();
  view.panel_bytes = packed.codes.bytes() / panels_of(packed.rows);
  view.rows = packed.rows;
  view.k = packed.cols;
  view.scales = scale_view(packed.scales, scheme.scale.group, packed.cols);
  view.zeros = scale_view(packed.zeros, scheme.scale.group, packed.cols);
  view.outer_scales = scale_view(packed.outer_scales, scheme.outer_scale.group, packed.cols);
  view.outer_zeros = scale_view(packed.outer_zeros, scheme.outer_scale.group, packed.cols);
  view.zero = scheme.zero;
  view.sums = packed.panel_sums.empty() ? nullptr : packed.panel_sums.data<int32_t>();
  view.column_scales = has_column_scales(scheme, packed.cols);
  return view;
}

}  // namespace omni::cpu
