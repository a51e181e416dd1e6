#include "checkpoint/stored_linear.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/linear_tensors.h"
#include "checkpoint/unpack_words.h"

namespace omni {
namespace {

using Packing = LinearSpelling::Packing;

// The bytes of a tensor as another dtype of the same size.
Tensor retyped(const Tensor& tensor, DType dtype, Shape shape) {
  Tensor out(dtype, shape);
  std::copy_n(tensor.raw(), out.bytes(), out.raw());
  return out;
}

class Reader {
 public:
  Reader(const Checkpoint& checkpoint, const LinearSpelling& spelling, const LinearTensors& tensors)
      : checkpoint_(checkpoint), spelling_(spelling), tensors_(tensors) {}

  Weight read() {
    out_.scheme = tensors_.stored.scheme;
    out_.rows = tensors_.stored.rows;
    out_.cols = tensors_.stored.cols;
    read_codes();
    read_scales();
    read_zero_points();
    read_order();
    check_zero_scales(out_, where(tensors_.scales));
    if (!tensors_.smooth.empty()) read_smooth();
    if (!tensors_.input_scale.empty()) {
      out_.input_scale = Tensor(DType::kF32, Shape{1});
      *out_.input_scale.f32() = read_single_scale(checkpoint_, tensors_.input_scale);
    }
    return std::move(out_);
  }

 private:
  std::string where(std::string_view tensor) const { return tensor_where(checkpoint_, tensor); }

  void read_codes() {
    const Tensor stored = checkpoint_.tensor(tensors_.codes);
    const Shape shape{out_.rows, out_.cols};
    if (spelling_.packing == Packing::kWords) {
      out_.codes = unpack_words(stored, tensors_.layout, spelling_.bits, out_.scheme.codes, out_.cols);
    } else if (spelling_.packing == Packing::kNibbles) {
      out_.codes = retyped(stored, out_.scheme.codes, shape);
    } else {
      out_.codes = stored;
    }
    check_float_codes(out_.codes, where(tensors_.codes));
  }

  void read_scales() {
    if (tensors_.scales.empty()) {
      out_.scales = Tensor(DType::kF32, Shape{1, 1});
      *out_.scales.f32() = 1;
      return;
    }
    const Tensor stored = checkpoint_.tensor(tensors_.scales);
    const Shape shape{tensors_.scale_rows, tensors_.scale_cols};
    const DType dtype = out_.scheme.scale.dtype;
    if (stored.dtype() == dtype) {
      out_.scales = stored.reshaped(shape);
    } else if (dtype == DType::kF8E8M0) {
      out_.scales = retyped(stored, dtype, shape);
    } else {
      out_.scales = to_f32(stored).reshaped(shape);
    }
    check_scale_values(out_.scales, spelling_.sign, where(tensors_.scales));
    if (tensors_.outer.empty()) return;
    const float outer = read_single_scale(checkpoint_, tensors_.outer);
    if (spelling_.outer_divides) {
      for (int64_t i = 0; i < shape.count(); ++i) out_.scales.f32()[i] /= outer;
      check_scale_values(out_.scales, spelling_.sign, where(tensors_.outer));
    } else {
      out_.outer_scales = Tensor(DType::kF32, Shape{1, 1});
      *out_.outer_scales.f32() = outer;
    }
  }

  void read_zero_points() {
    if (tensors_.zeros.empty()) return;
    const Tensor stored = checkpoint_.tensor(tensors_.zeros);
    const bool words = spelling_.packing == Packing::kWords;
    if (words && stored.dtype() == DType::kI32 && out_.scheme.scale.group.rows == 1) {
      out_.zeros = unpack_word_columns(stored, tensors_.layout, spelling_.bits, out_.rows);
      return;
    }
    check_float_codes(stored, where(tensors_.zeros));
    out_.zeros = to_f32(stored).reshaped(Shape{tensors_.scale_rows, tensors_.scale_cols});
    if (stored.dtype() == DType::kF8E4M3) return;
    const float half = static_cast<float>(1 << (spelling_.bits - 1));
    for (int64_t i = 0; i < out_.zeros.shape().count(); ++i) {
      float& point = out_.zeros.f32()[i];
      if (point < -half || point >= half)
        throw Error(where(tensors_.zeros),
                    "holds " + std::to_string(static_cast<int64_t>(point)) + " at " + std::to_string(i),
                    "zero points of " + std::to_string(spelling_.bits) + " signed bits");
      if (words) point += half;  // the codes stay unsigned as packed
    }
  }

  // Groups of columns by order of activation; -1 stands for columns in their own order.
  void read_order() {
    if (tensors_.order.empty()) return;
    const Tensor stored = checkpoint_.tensor(tensors_.order);
    const int64_t group = out_.scheme.scale.group.cols == 0 ? out_.cols : out_.scheme.scale.group.cols;
    std::vector<int64_t> sizes(static_cast<size_t>(tensors_.scale_cols));
    out_.order = Tensor(DType::kI32, Shape{out_.cols});
    const auto value = [&](int64_t col) -> int64_t {
      return stored.dtype() == DType::kI64 ? stored.data<int64_t>()[col] : stored.data<int32_t>()[col];
    };
    const bool unset = value(0) == -1;
    for (int64_t col = 0; col < out_.cols; ++col) {
      const int64_t of = unset && value(col) == -1 ? col / group : value(col);
      if (of < 0 || of >= tensors_.scale_cols)
        throw Error(where(tensors_.order), "holds " + std::to_string(of) + " at " + std::to_string(col),
                    "group indices below " + std::to_string(tensors_.scale_cols));
      if (++sizes[static_cast<size_t>(of)] > group)
        throw Error(where(tensors_.order), "gives group " + std::to_string(of) + " more than its columns",
                    std::to_string(group) + " columns a group");
      out_.order.data<int32_t>()[col] = static_cast<int32_t>(of);
    }
  }

  void read_smooth() {
    out_.smooth = to_f32(checkpoint_.tensor(tensors_.smooth)).reshaped(Shape{out_.cols});
    check_scale_values(out_.smooth, ScaleSign::kPositive, where(tensors_.smooth));
  }

  const Checkpoint& checkpoint_;
  const LinearSpelling& spelling_;
  const LinearTensors& tensors_;
  Weight out_;
};

}  // namespace

StoredWeight describe_linear(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling) {
  return find_linear_tensors(checkpoint, name, spelling).stored;
}

Weight read_linear(const Checkpoint& checkpoint, std::string_view name, const LinearSpelling& spelling) {
  const LinearTensors tensors = find_linear_tensors(checkpoint, name, spelling);
  return Reader(checkpoint, spelling, tensors).read();
}

std::vector<std::string> matrix_modules(const Checkpoint& checkpoint) {
  constexpr std::string_view kWeight = ".weight", kPacked = ".weight_packed";
  std::vector<std::string> out;
  for (const std::string& name : checkpoint.names()) {
    if (name.ends_with(kWeight) && checkpoint.find(name)->shape.rank() == 2)
      out.push_back(name.substr(0, name.size() - kWeight.size()));
    if (name.ends_with(kPacked)) out.push_back(name.substr(0, name.size() - kPacked.size()));
  }
  std::ranges::sort(out);
  const auto twice = std::unique(out.begin(), out.end());
  out.erase(twice, out.end());
  return out;
}

}  // namespace omni
