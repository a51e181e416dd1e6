#include "checkpoint/linear_tensors.h"

#include "base/error.h"
#include "checkpoint/unpack_words.h"
#include "quant/codec_parts.h"

namespace omni {
namespace {

using Packing = LinearSpelling::Packing;

bool is_float(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

class Describer {
 public:
  Describer(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling)
      : checkpoint_(checkpoint), name_(name), spelling_(spelling) {
    because_ = spelling.declared + " says that " + name_ + " is quantized";
  }

  LinearTensors describe() {
    find_codes();
    find_scales();
    find_zero_points();
    find_order();
    find_smooth();
    find_input_scale();
    for (const std::string& part : spelling_.other_parts) {
      if (checkpoint_.find(full(part)) != nullptr) claim(full(part));
    }
    return std::move(out_);
  }

 private:
  std::string full(std::string_view part) const { return name_ + "." + std::string(part); }
  QuantScheme& scheme() { return out_.stored.scheme; }

  void claim(std::string tensor) {
    const Checkpoint::Entry& entry = *checkpoint_.find(tensor);
    out_.stored.bytes += storage_bytes(entry.dtype, entry.shape.count());
    out_.stored.tensors.push_back(std::move(tensor));
  }

  const Checkpoint::Entry& need(const std::string& tensor) const { return need_entry(checkpoint_, tensor, because_); }

  // The tensor of the first part that is there, or the first one's name.
  std::string first_of(const std::vector<std::string>& parts) const {
    for (const std::string& part : parts) {
      if (checkpoint_.find(full(part)) != nullptr) return full(part);
    }
    return full(parts.front());
  }

  void find_codes() {
    out_.codes = full(spelling_.codes_part);
    const Checkpoint::Entry* plain = checkpoint_.find(full("weight"));
    if (plain != nullptr && is_float(plain->dtype))
      throw Error(tensor_where(checkpoint_, full("weight")),
                  "is a " + std::string(dtype_name(plain->dtype)) + " weight, though " + because_,
                  full(spelling_.codes_part) + " with scales, or an entry for it in the list of ignored layers");
    const Shape& shape = need(out_.codes).shape;
    if (shape.rank() != 2 || shape.count() == 0)
      throw Error(tensor_where(checkpoint_, out_.codes), "is of shape " + shape.text(), "a matrix");
    out_.stored.rows = shape[0];
    out_.stored.cols = shape[1];
    scheme().codes = spelling_.codes;
    if (spelling_.packing == Packing::kBytes) {
      check_dtype(checkpoint_, out_.codes, {spelling_.codes});
    } else if (spelling_.packing == Packing::kNibbles) {
      check_dtype(checkpoint_, out_.codes, {DType::kU8});
      out_.stored.cols = shape[1] * 2;
    } else {
      check_dtype(checkpoint_, out_.codes, {DType::kI32});
      find_cols_of_words(shape);
      scheme().codes = word_codes(spelling_.bits, spelling_.zero_points, out_.stored.cols);
    }
    claim(out_.codes);
  }

  void find_cols_of_words(const Shape& packed) {
    const std::string tensor = full("weight_shape");
    need(tensor);
    check_dtype(checkpoint_, tensor, {DType::kI64, DType::kI32});
    if (checkpoint_.find(tensor)->shape != Shape{2})
      throw Error(tensor_where(checkpoint_, tensor), "is of shape " + checkpoint_.find(tensor)->shape.text(), "[2]");
    const Tensor values = checkpoint_.tensor(tensor);
    const bool wide = values.dtype() == DType::kI64;
    const int64_t rows = wide ? values.data<int64_t>()[0] : values.data<int32_t>()[0];
    const int64_t cols = wide ? values.data<int64_t>()[1] : values.data<int32_t>()[1];
    const bool fits = rows == packed[0] && cols > 0 && cols <= packed[1] * 32 && find_layout(packed[1], cols);
    if (!fits)
      throw Error(
          tensor_where(checkpoint_, tensor), "holds [" + std::to_string(rows) + ", " + std::to_string(cols) + "]",
          "the shape of " + std::to_string(spelling_.bits) + "-bit codes in " + out_.codes + " " + packed.text());
    out_.stored.cols = cols;
    claim(tensor);
  }

  // The layout in which the codes take this many words and, as one alone may fit both, the zero points theirs.
  bool find_layout(int64_t words, int64_t cols) {
    const Checkpoint::Entry* zeros = checkpoint_.find(full("weight_zero_point"));
    const bool packed = spelling_.zero_points && zeros != nullptr && zeros->dtype == DType::kI32;
    bool fits = false;
    for (const WordLayout layout : {WordLayout::kWhole, WordLayout::kDense}) {
      if (words != word_count(layout, cols, spelling_.bits)) continue;
      const bool all = !packed || zeros->shape.rank() == 0 ||
                       zeros->shape[0] == word_count(layout, out_.stored.rows, spelling_.bits);
      if (all || !fits) out_.layout = layout;
      fits = true;
    }
    return fits;
  }

  void find_scales() {
    out_.scales = first_of(spelling_.scale_parts);
    if (spelling_.unit_scale && checkpoint_.find(out_.scales) == nullptr) {
      out_.scales.clear();
      scheme().scale = {DType::kF32, Group{0, 0}};
      return;
    }
    need(out_.scales);
    if (spelling_.exponent_scales) {
      check_dtype(checkpoint_, out_.scales, {DType::kU8, DType::kF8E8M0});
    } else if (!spelling_.outer_part.empty()) {
      check_dtype(checkpoint_, out_.scales, {DType::kF8E4M3});
    } else {
      check_dtype(checkpoint_, out_.scales, {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E8M0});
    }
    const Group group = find_group();
    out_.scale_rows = group_count(out_.stored.rows, group.rows);
    out_.scale_cols = group_count(out_.stored.cols, group.cols);
    check_grid(checkpoint_, out_.scales, out_.scale_rows, out_.scale_cols);
    scheme().scale = {scale_dtype(group), group};
    claim(out_.scales);
    if (spelling_.outer_part.empty()) return;
    out_.outer = full(spelling_.outer_part);
    need(out_.outer);
    check_dtype(checkpoint_, out_.outer, {DType::kF32, DType::kF16, DType::kBF16});
    check_single(checkpoint_, out_.outer);
    if (!spelling_.outer_divides) scheme().outer_scale = {DType::kF32, Group{0, 0}};
    claim(out_.outer);
  }

  Group find_group() const {
    const Shape& shape = checkpoint_.find(out_.scales)->shape;
    if (!spelling_.group) {
      const bool one = shape.count() == 1;
      const bool rows = shape == Shape{out_.stored.rows} || shape == Shape{out_.stored.rows, 1};
      if (!one && !rows)
        throw Error(tensor_where(checkpoint_, out_.scales), "is of shape " + shape.text(),
                    "one scale, or one a row: shape [1] or " + Shape{out_.stored.rows, 1}.text());
      return one ? Group{0, 0} : Group{1, 0};
    }
    const Group group = *spelling_.group;
    if (!spelling_.ragged && group.cols > 0 && out_.stored.cols > group.cols && out_.stored.cols % group.cols != 0)
      throw Error(tensor_where(checkpoint_, out_.codes),
                  "has " + std::to_string(out_.stored.cols) + " columns in groups of " + std::to_string(group.cols) +
                      " (" + spelling_.declared + ")",
                  "a group_size that divides " + std::to_string(out_.stored.cols));
    return group;
  }

  // Few scales are widened, so that the scheme is the preset's whatever float the tool kept them in.
  DType scale_dtype(const Group& group) const {
    const DType stored = checkpoint_.find(out_.scales)->dtype;
    if (spelling_.exponent_scales || stored == DType::kF8E8M0) return DType::kF8E8M0;
    if (spelling_.outer_divides || group.cols == 0 || group.rows != 1) return DType::kF32;
    return stored;
  }

  void find_zero_points() {
    if (!spelling_.zero_points) return;
    out_.zeros = full("weight_zero_point");
    const Checkpoint::Entry& entry = need(out_.zeros);
    if (spelling_.packing == Packing::kWords && entry.dtype == DType::kI32 && scheme().scale.group.rows == 1) {
      const Shape& shape = entry.shape;
      const int64_t words = word_count(out_.layout, out_.stored.rows, spelling_.bits);
      if (shape != Shape{words, out_.scale_cols})
        throw Error(tensor_where(checkpoint_, out_.zeros), "is of shape " + shape.text(),
                    "shape " + Shape{words, out_.scale_cols}.text());
    } else {
      check_dtype(checkpoint_, out_.zeros, {DType::kI8, DType::kI32, DType::kF8E4M3});
      check_grid(checkpoint_, out_.zeros, out_.scale_rows, out_.scale_cols);
    }
    scheme().zero = Zero::kPoint;
    claim(out_.zeros);
  }

  void find_order() {
    if (!spelling_.ordered) return;
    out_.order = full("weight_g_idx");
    need(out_.order);
    check_dtype(checkpoint_, out_.order, {DType::kI32, DType::kI64});
    check_grid(checkpoint_, out_.order, out_.stored.cols, 1);
    scheme().ordered = true;
    claim(out_.order);
  }

  void find_smooth() {
    if (spelling_.smooth_part.empty() || checkpoint_.find(full(spelling_.smooth_part)) == nullptr) return;
    out_.smooth = full(spelling_.smooth_part);
    check_dtype(checkpoint_, out_.smooth, {DType::kF32, DType::kF16, DType::kBF16});
    check_grid(checkpoint_, out_.smooth, out_.stored.cols, 1);
    scheme().smooth = true;
    claim(out_.smooth);
  }

  void find_input_scale() {
    scheme().act = spelling_.act;
    scheme().act_codes = spelling_.act == ActQuant::kNone ? DType::kNone : spelling_.act_codes;
    if (spelling_.input_scale_parts.empty()) return;
    const std::string tensor = first_of(spelling_.input_scale_parts);
    if (spelling_.act == ActQuant::kStatic) {
      need(tensor);
      check_dtype(checkpoint_, tensor, {DType::kF32, DType::kF16, DType::kBF16});
      check_single(checkpoint_, tensor);
      out_.input_scale = tensor;
    }
    if (checkpoint_.find(tensor) != nullptr) claim(tensor);
  }

  const Checkpoint& checkpoint_;
  std::string name_, because_;
  const LinearSpelling& spelling_;
  LinearTensors out_;
};

}  // namespace

LinearTensors find_linear_tensors(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling) {
  return Describer(checkpoint, name, spelling).describe();
}

}  // namespace omni
