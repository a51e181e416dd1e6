#include "quant/weight.h"

#include <array>
#include <cassert>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"

namespace omni {

std::string_view layout_name(Layout layout) {
  switch (layout) {
    case Layout::kCanonical:
      return "canonical";
    case Layout::kPanelF32:
      return "panel-f32";
    case Layout::kPanelBF16:
      return "panel-bf16";
    case Layout::kPanelCodes:
      return "panel-codes";
    case Layout::kPanelI8Quads:
      return "panel-i8-quads";
    case Layout::kPanelI8Pairs:
      return "panel-i8-pairs";
  }
  return "unknown";
}

int64_t Weight::bytes() const {
  int64_t sum = 0;
  for (const Tensor* part : {&codes, &scales, &outer_scales, &zeros, &outer_zeros, &input_scale, &order, &smooth,
                             &low_rank_down, &low_rank_up, &panel_sums}) {
    if (!part->empty()) sum += part->bytes();
  }
  return sum;
}

Weight float_weight(Tensor values) {
  assert(values.shape().rank() == 2);
  assert(values.dtype() == DType::kF32 || values.dtype() == DType::kF16 || values.dtype() == DType::kBF16);
  Weight out;
  out.rows = values.rows();
  out.cols = values.cols();
  out.codes = std::move(values);
  return out;
}

namespace {

using Parts = std::span<const Weight>;
using Part = Tensor Weight::*;

// Row `row` of a part as bytes; rows may lie apart.
const std::byte* row_bytes(const Tensor& tensor, int64_t row) {
  return tensor.raw() + storage_bytes(tensor.dtype(), row * tensor.row_stride());
}

// One part of every weight, one below the other.
Tensor stack_rows(Parts parts, Part part) {
  if ((parts[0].*part).empty()) return {};
  int64_t rows = 0;
  for (const Weight& weight : parts) rows += (weight.*part).rows();
  const int64_t cols = (parts[0].*part).cols();
  Tensor out((parts[0].*part).dtype(), Shape{rows, cols});
  const int64_t bytes = storage_bytes(out.dtype(), cols);
  std::byte* target = out.raw();
  for (const Weight& weight : parts) {
    for (int64_t row = 0; row < (weight.*part).rows(); ++row, target += bytes)
      std::memcpy(target, row_bytes(weight.*part, row), static_cast<size_t>(bytes));
  }
  return out;
}

// The only row of each weight's part, once for every row of that weight.
Tensor repeat_rows(Parts parts, Part part, int64_t rows) {
  const int64_t cols = (parts[0].*part).cols();
  Tensor out((parts[0].*part).dtype(), Shape{rows, cols});
  const int64_t bytes = storage_bytes(out.dtype(), cols);
  std::byte* target = out.raw();
  for (const Weight& weight : parts) {
    for (int64_t row = 0; row < weight.rows; ++row, target += bytes)
      std::memcpy(target, row_bytes(weight.*part, 0), static_cast<size_t>(bytes));
  }
  return out;
}

bool all_equal(Parts parts, Part part) {
  const Tensor& first = parts[0].*part;
  for (const Weight& weight : parts) {
    const Tensor& other = weight.*part;
    if (first.empty() != other.empty() || !(first.shape() == other.shape())) return false;
    if (!first.empty() && std::memcmp(first.raw(), other.raw(), static_cast<size_t>(first.bytes())) != 0) return false;
  }
  return true;
}

// Joins the scale parts of one level (scales and zeros, or their outer ones) and adjusts its group.
void join_scales(Parts parts, std::array<Part, 2> level, ScaleSpec& spec, Weight& out) {
  const bool whole_column = spec.dtype != DType::kNone && spec.group.rows == 0;
  const bool same = all_equal(parts, level[0]) && all_equal(parts, level[1]);
  if (whole_column && !same) spec.group.rows = 1;
  for (const Part part : level) {
    if ((parts[0].*part).empty()) continue;
    if (!whole_column)
      out.*part = stack_rows(parts, part);
    else
      out.*part = same ? parts[0].*part : repeat_rows(parts, part, out.rows);
  }
}

void check_fit(Parts parts, std::string_view where) {
  const Weight& first = parts[0];
  for (size_t i = 0; i < parts.size(); ++i) {
    const Weight& part = parts[i];
    const std::string which = "part " + std::to_string(i);
    if (part.layout != Layout::kCanonical)
      throw Error(std::string(where), which + " is in layout " + std::string(layout_name(part.layout)), "canonical");
    if (part.cols != first.cols)
      throw Error(std::string(where), which + " has " + std::to_string(part.cols) + " columns",
                  std::to_string(first.cols) + " as part 0");
    if (!(part.scheme == first.scheme))
      throw Error(std::string(where), which + " is stored as " + part.scheme.text(),
                  first.scheme.text() + " as part 0");
    if (part.float_dtype() != first.float_dtype())
      throw Error(std::string(where), which + " holds " + std::string(dtype_name(part.float_dtype())),
                  std::string(dtype_name(first.float_dtype())) + " as part 0");
    for (const int group : {first.scheme.scale.group.rows, first.scheme.outer_scale.group.rows}) {
      if (group > 1 && i + 1 < parts.size() && part.rows % group != 0)
        throw Error(std::string(where), which + " has " + std::to_string(part.rows) + " rows",
                    "a multiple of the scale group's " + std::to_string(group) + " rows");
    }
  }
}

}  // namespace

Weight concat_rows(std::span<const Weight> parts, std::string_view where) {
  if (parts.empty()) throw Error(std::string(where), "nothing to join", "at least one weight");
  check_fit(parts, where);
  if (parts.size() == 1) return parts[0];
  Weight out;
  out.scheme = parts[0].scheme;
  out.cols = parts[0].cols;
  for (const Weight& part : parts) out.rows += part.rows;
  out.codes = stack_rows(parts, &Weight::codes);
  if (!out.scheme.quantized()) return out;
  join_scales(parts, {&Weight::scales, &Weight::zeros}, out.scheme.scale, out);
  join_scales(parts, {&Weight::outer_scales, &Weight::outer_zeros}, out.scheme.outer_scale, out);
  // All parts eat one input: the largest static scale covers each of them.
  for (const Weight& part : parts) {
    if (part.input_scale.empty()) continue;
    if (out.input_scale.empty() || part.input_scale.f32()[0] > out.input_scale.f32()[0])
      out.input_scale = part.input_scale;
  }
  return out;
}

namespace {

// Rows of one part of a weight that correspond to rows [begin, begin + count) of it.
Tensor part_rows(const Tensor& part, int group_rows, int64_t begin, int64_t count, int64_t rows,
                 std::string_view where) {
  if (part.empty() || group_rows == 0) return part;
  if (begin % group_rows != 0 || (count % group_rows != 0 && begin + count != rows))
    throw Error(std::string(where),
                "rows " + std::to_string(begin) + " to " + std::to_string(begin + count) + " cut a scale group of " +
                    std::to_string(group_rows) + " rows",
                "a slice of whole groups");
  return part.row_range(begin / group_rows, (count + group_rows - 1) / group_rows);
}

// Which group of rows each group of the result is: all rows of one must come from one.
std::vector<int64_t> groups_from(int group_rows, std::span<const int64_t> from, std::string_view where) {
  std::vector<int64_t> groups;
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t group = from[i] / group_rows;
    if (i % static_cast<size_t>(group_rows) == 0) groups.push_back(group);
    if (groups.back() == group) continue;
    throw Error(std::string(where), "rows change places across scale groups of " + std::to_string(group_rows) + " rows",
                "an order that keeps such groups together");
  }
  return groups;
}

Tensor pick_rows(const Tensor& part, int group_rows, std::span<const int64_t> from, std::string_view where) {
  if (part.empty() || group_rows == 0) return part;
  const std::vector<int64_t> groups = groups_from(group_rows, from, where);
  Tensor out(part.dtype(), Shape{static_cast<int64_t>(groups.size()), part.cols()});
  const auto bytes = static_cast<size_t>(storage_bytes(part.dtype(), part.cols()));
  for (size_t i = 0; i < groups.size(); ++i) std::memcpy(out.raw() + i * bytes, row_bytes(part, groups[i]), bytes);
  return out;
}

template <class Take>
Weight with_rows(const Weight& weight, int64_t rows, Take take) {
  assert(weight.layout == Layout::kCanonical);
  Weight out = weight;  // what has no rows stays: outer factors of the whole tensor, order, smooth, low_rank_down
  out.rows = rows;
  const int scale = weight.scheme.scale.group.rows, outer = weight.scheme.outer_scale.group.rows;
  out.codes = take(weight.codes, 1);
  out.scales = take(weight.scales, scale);
  out.zeros = take(weight.zeros, scale);
  out.outer_scales = take(weight.outer_scales, outer);
  out.outer_zeros = take(weight.outer_zeros, outer);
  out.low_rank_up = take(weight.low_rank_up, 1);
  return out;
}

}  // namespace

Weight slice_rows(const Weight& weight, int64_t begin, int64_t count, std::string_view where) {
  assert(begin >= 0 && count >= 0 && begin + count <= weight.rows);
  return with_rows(weight, count, [&](const Tensor& part, int group) {
    return part_rows(part, group, begin, count, weight.rows, where);
  });
}

Weight permute_rows(const Weight& weight, std::span<const int64_t> from, std::string_view where) {
  assert(static_cast<int64_t>(from.size()) == weight.rows);
  return with_rows(weight, weight.rows,
                   [&](const Tensor& part, int group) { return pick_rows(part, group, from, where); });
}

}  // namespace omni
