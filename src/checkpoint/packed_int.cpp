#include "checkpoint/packed_int.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "checkpoint/packed_words.h"
#include "quant/codec.h"
#include "quant/codec_parts.h"

namespace omni {
namespace {

constexpr int64_t kLargest = int64_t{1} << 24;  // rows or columns of one matrix

std::string part(std::string_view name, std::string_view suffix) {
  return std::string(name) + std::string(suffix);
}

[[noreturn]] void wrong_shape(const Checkpoint& checkpoint, const std::string& tensor, Shape expected,
                              const std::string& why) {
  throw Error(tensor_where(checkpoint, tensor), "is of shape " + checkpoint.find(tensor)->shape.text(),
              "shape " + expected.text() + " (" + why + ")");
}

// The tensors of one layer, found and of the right dtypes.
struct Parts {
  std::string qweight, scales, qzeros, g_idx;  // "" when there is none
};

Parts find_parts(const Checkpoint& checkpoint, std::string_view name, const PackedInt& packed) {
  Parts out{part(name, ".qweight"), part(name, ".scales"), part(name, ".qzeros"), part(name, ".g_idx")};
  need_entry(checkpoint, out.qweight, "the layer is quantized");
  need_entry(checkpoint, out.scales, "the layer is quantized");
  // AutoAWQ alone leaves zero points out, without them.
  if (!packed.symmetric || packed.packing == IntPacking::kGptq)
    need_entry(checkpoint, out.qzeros, "the layer has zero points");
  if (checkpoint.find(out.qzeros) == nullptr) out.qzeros.clear();
  if (packed.packing != IntPacking::kGptq || checkpoint.find(out.g_idx) == nullptr) out.g_idx.clear();
  for (const std::string* words : {&out.qweight, &out.qzeros, &out.g_idx}) {
    if (!words->empty()) check_dtype(checkpoint, *words, {DType::kI32});
  }
  check_dtype(checkpoint, out.scales, {DType::kF16, DType::kBF16, DType::kF32});
  for (const std::string* matrix : {&out.qweight, &out.scales, &out.qzeros}) {
    if (matrix->empty()) continue;
    const Shape& shape = checkpoint.find(*matrix)->shape;
    if (shape.rank() != 2 || shape[0] == 0 || shape[1] == 0 || shape[0] > kLargest || shape[1] > kLargest)
      throw Error(tensor_where(checkpoint, *matrix), "is of shape " + shape.text(), "a matrix");
  }
  if (!out.g_idx.empty() && checkpoint.find(out.g_idx)->shape.rank() != 1)
    throw Error(tensor_where(checkpoint, out.g_idx), "is of shape " + checkpoint.find(out.g_idx)->shape.text(),
                "one group a column");
  return out;
}

struct Extents {
  int64_t rows = 0, cols = 0, groups = 0;
};

int64_t group_width(const PackedInt& packed, int64_t cols) {
  return packed.group_size == -1 ? cols : std::min(packed.group_size, cols);
}

std::string groups_text(const PackedInt& packed, int64_t cols) {
  return "groups of " + std::to_string(group_width(packed, cols)) + " along " + std::to_string(cols) + " columns";
}

Extents gptq_extents(const Checkpoint& checkpoint, const Parts& parts, const PackedInt& packed) {
  const Shape& words = checkpoint.find(parts.qweight)->shape;
  Extents out{words[1], words[0] * 32 / packed.bits, 0};
  const std::string bits = std::to_string(packed.bits) + " bits";
  if (words[0] * 32 % packed.bits != 0 || (packed.bits == 3 && words[0] % 3 != 0))
    throw Error(tensor_where(checkpoint, parts.qweight), "is of shape " + words.text(),
                "rows that hold whole columns in " + bits);
  if (!parts.g_idx.empty() && checkpoint.find(parts.g_idx)->shape[0] != out.cols) {
    const int64_t cols = checkpoint.find(parts.g_idx)->shape[0];
    wrong_shape(checkpoint, parts.qweight, Shape{packed_words(cols, packed.bits), words[1]},
                std::to_string(cols) + " columns in " + bits + ", as " + parts.g_idx + " says");
  }
  out.groups = (out.cols + group_width(packed, out.cols) - 1) / group_width(packed, out.cols);
  const Shape scales{out.groups, out.rows};
  if (checkpoint.find(parts.scales)->shape != scales)
    wrong_shape(checkpoint, parts.scales, scales, groups_text(packed, out.cols));
  const Shape points{out.groups, packed_words(out.rows, packed.bits)};
  if (!parts.qzeros.empty() && checkpoint.find(parts.qzeros)->shape != points)
    wrong_shape(checkpoint, parts.qzeros, points, std::to_string(out.rows) + " zero points in " + bits);
  return out;
}

Extents awq_extents(const Checkpoint& checkpoint, const Parts& parts, const PackedInt& packed) {
  const bool gemv = packed.packing == IntPacking::kAwqGemv;
  const Shape& words = checkpoint.find(parts.qweight)->shape;
  const Shape& scales = checkpoint.find(parts.scales)->shape;
  Extents out{gemv ? words[0] : words[1] * 8, gemv ? words[1] * 8 : words[0], 0};
  const int64_t width = group_width(packed, out.cols);
  if (out.cols % width != 0)
    throw Error(
        tensor_where(checkpoint, parts.qweight),
        "has " + std::to_string(out.cols) + " columns, which groups of " + std::to_string(width) + " do not fill",
        "a group_size that divides " + std::to_string(out.cols));
  out.groups = out.cols / width;
  Shape expected{out.groups, out.rows}, points{out.groups, out.rows / 8};
  if (gemv) {
    const int64_t zero_words = std::max(scales[1] / 8, (out.groups + 7) / 8);
    expected = Shape{out.rows, zero_words * 8};
    points = Shape{out.rows, zero_words};
  }
  if (scales != expected) wrong_shape(checkpoint, parts.scales, expected, groups_text(packed, out.cols));
  if (!parts.qzeros.empty() && checkpoint.find(parts.qzeros)->shape != points)
    wrong_shape(checkpoint, parts.qzeros, points, "8 zero points a word");
  return out;
}

// g_idx as stored; throws for a group that is not there.
Tensor read_order(const Checkpoint& checkpoint, const std::string& g_idx, int64_t groups) {
  Tensor order = checkpoint.tensor(g_idx);
  const auto* at = order.data<int32_t>();
  for (int64_t col = 0; col < order.cols(); ++col) {
    if (at[col] >= 0 && at[col] < groups) continue;
    throw Error(tensor_where(checkpoint, g_idx),
                "names group " + std::to_string(at[col]) + " at " + std::to_string(col),
                "groups from 0 to " + std::to_string(groups - 1));
  }
  return order;
}

bool in_order(const Tensor& order, int64_t width) {
  const auto* at = order.data<int32_t>();
  for (int64_t col = 0; col < order.cols(); ++col) {
    if (at[col] != col / width) return false;
  }
  return true;
}

QuantScheme scheme_of(const Checkpoint& checkpoint, const Parts& parts, const PackedInt& packed, Extents extents) {
  constexpr std::array kSigned = {DType::kI2, DType::kI3, DType::kI4, DType::kI8};
  constexpr std::array kUnsigned = {DType::kU2, DType::kU3, DType::kU4, DType::kU8};
  const auto width = static_cast<size_t>(std::ranges::find(kPackedBits, packed.bits) - kPackedBits.begin());
  QuantScheme out;
  out.codes = packed.symmetric ? kSigned[width] : kUnsigned[width];
  out.zero = packed.symmetric ? Zero::kNone : Zero::kPoint;
  out.scale.dtype = checkpoint.find(parts.scales)->dtype;
  const bool whole = packed.group_size == -1 || packed.group_size > extents.cols;
  out.scale.group.cols = whole ? 0 : static_cast<int>(packed.group_size);
  if (!parts.g_idx.empty() && extents.groups > 1 && packed.reordered)
    out.ordered = !in_order(read_order(checkpoint, parts.g_idx, extents.groups), packed.group_size);
  return out;
}

// The zero points as stored, one a byte: [G, N], of GEMV [N, G and more].
Tensor stored_points(const Checkpoint& checkpoint, const Parts& parts, const PackedInt& packed) {
  const Tensor words = checkpoint.tensor(parts.qzeros);
  if (packed.packing == IntPacking::kAwqGemm) return unpack_awq_rows(words);
  if (!packed.points_less_one) return unpack_rows(words, packed.bits);
  // The tool subtracts whole words, so that a borrow of one point reaches the next; 3-bit points it takes one by one.
  Tensor whole(DType::kI32, words.shape());
  uint32_t ones = 0;
  if (packed.bits != 3) {
    for (int bit = 0; bit < 32; bit += packed.bits) ones |= 1u << bit;
  }
  for (int64_t i = 0; i < words.shape().count(); ++i) whole.data<uint32_t>()[i] = words.data<uint32_t>()[i] + ones;
  Tensor out = unpack_rows(whole, packed.bits);
  if (packed.bits != 3) return out;
  for (int64_t i = 0; i < out.shape().count(); ++i)
    out.data<uint8_t>()[i] = static_cast<uint8_t>((out.data<uint8_t>()[i] + 1) & 7);
  return out;
}

class Reader {
 public:
  Reader(const Checkpoint& checkpoint, std::string_view name, const PackedInt& packed)
      : checkpoint_(checkpoint), packed_(packed), parts_(find_parts(checkpoint, name, packed)) {
    extents_ = packed.packing == IntPacking::kGptq ? gptq_extents(checkpoint, parts_, packed)
                                                   : awq_extents(checkpoint, parts_, packed);
    if (extents_.rows > kLargest || extents_.cols > kLargest || extents_.cols % 2 != 0)
      throw Error(tensor_where(checkpoint, parts_.qweight),
                  "holds a matrix of " + Shape{extents_.rows, extents_.cols}.text(), "even columns, and less of them");
    scheme_ = scheme_of(checkpoint, parts_, packed, extents_);
  }

  StoredWeight describe() const {
    StoredWeight out{scheme_, DType::kNone, extents_.rows, extents_.cols, 0, {}};
    for (const std::string* tensor : {&parts_.qweight, &parts_.scales, &parts_.qzeros, &parts_.g_idx}) {
      if (tensor->empty()) continue;
      const Checkpoint::Entry& entry = *checkpoint_.find(*tensor);
      out.bytes += storage_bytes(entry.dtype, entry.shape.count());
      out.tensors.push_back(*tensor);
    }
    return out;
  }

  Weight read() const {
    Weight out;
    out.scheme = scheme_;
    out.rows = extents_.rows;
    out.cols = extents_.cols;
    out.codes = canonical_codes(bytes(), scheme_.codes);
    const Tensor scales = checkpoint_.tensor(parts_.scales);
    check_scale_values(scales, packed_.sign, tensor_where(checkpoint_, parts_.scales));
    out.scales = gemv() ? scales.columns(0, extents_.groups) : transpose_floats(scales);
    read_points(out);
    if (!parts_.g_idx.empty()) read_groups(out);
    check_zeros(out);
    return out;
  }

 private:
  bool gemv() const { return packed_.packing == IntPacking::kAwqGemv; }

  Tensor bytes() const {
    const Tensor words = checkpoint_.tensor(parts_.qweight);
    if (packed_.packing == IntPacking::kGptq) return unpack_columns(words, packed_.bits);
    return gemv() ? unpack_rows(words, packed_.bits) : transpose_bytes(unpack_awq_rows(words));
  }

  std::string place(int64_t row, int64_t group) const {  // as the tensor lies in the file
    return " at " + (gemv() ? Shape{row, group} : Shape{group, row}).text();
  }

  void read_points(Weight& out) const {
    if (parts_.qzeros.empty()) return;
    const Tensor points = stored_points(checkpoint_, parts_, packed_);
    if (!packed_.symmetric) out.zeros = Tensor(DType::kF32, Shape{extents_.rows, extents_.groups});
    const int half = 1 << (packed_.bits - 1);
    for (int64_t row = 0; row < extents_.rows; ++row) {
      for (int64_t group = 0; group < extents_.groups; ++group) {
        const uint8_t point =
            points.data<uint8_t>()[gemv() ? row * points.cols() + group : group * points.cols() + row];
        if (!packed_.symmetric) {
          out.zeros.f32()[row * extents_.groups + group] = point;
        } else if (point != half) {
          throw Error(tensor_where(checkpoint_, parts_.qzeros),
                      "holds the zero point " + std::to_string(point) + place(row, group),
                      std::to_string(half) + ", because the config says symmetric");
        }
      }
    }
  }

  void read_groups(Weight& out) const {
    Tensor order = read_order(checkpoint_, parts_.g_idx, extents_.groups);
    if (scheme_.ordered) {
      out.order = std::move(order);
    } else if (!in_order(order, group_width(packed_, extents_.cols))) {
      throw Error(tensor_where(checkpoint_, parts_.g_idx), "is out of order, though desc_act is false",
                  "group k / group_size for column k");
    }
  }

  void check_zeros(const Weight& weight) const {
    for (int64_t row = 0; row < extents_.rows; ++row) {
      for (int64_t group = 0; group < extents_.groups; ++group) {
        if (read_scale(weight.scales, row, group) != 0) continue;
        const float point = weight.zeros.empty() ? 0 : weight.zeros.f32()[row * extents_.groups + group];
        for (int64_t col = 0; col < extents_.cols; ++col) {
          const int64_t of =
              scheme_.ordered ? weight.order.data<int32_t>()[col] : col / group_width(packed_, extents_.cols);
          if (of != group || static_cast<float>(code_at(weight, row, col)) == point) continue;
          throw Error(tensor_where(checkpoint_, parts_.scales),
                      "holds 0" + place(row, group) + ", over codes that are not zero", "a finite scale > 0");
        }
      }
    }
  }

  const Checkpoint& checkpoint_;
  PackedInt packed_;
  Parts parts_;
  Extents extents_;
  QuantScheme scheme_;
};

}  // namespace

StoredWeight describe_packed(const Checkpoint& checkpoint, std::string_view name, const PackedInt& packed) {
  return Reader(checkpoint, name, packed).describe();
}

Weight read_packed(const Checkpoint& checkpoint, std::string_view name, const PackedInt& packed) {
  return Reader(checkpoint, name, packed).read();
}

}  // namespace omni
