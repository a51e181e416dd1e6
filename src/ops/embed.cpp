#include "ops/embed.h"

#include <cassert>
#include <cstring>
#include <string>

#include "base/error.h"
#include "quant/codec.h"
#include "tensor/float_bits.h"

namespace omni::ops {
namespace {

float value_at(const Tensor& t, int64_t row, int64_t col) {
  const int64_t i = row * t.row_stride() + col;
  if (t.dtype() == DType::kF32) return t.data<float>()[i];
  const uint16_t bits = t.data<uint16_t>()[i];
  assert(t.dtype() == DType::kBF16 || t.dtype() == DType::kF16);
  return t.dtype() == DType::kBF16 ? bf16_to_f32(bits) : f16_to_f32(bits);
}

void check_ids(std::span<const int32_t> ids, int64_t rows) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < rows) continue;
    throw Error("token " + std::to_string(i), "has id " + std::to_string(ids[i]),
                "an id below " + std::to_string(rows));
  }
}

}  // namespace

void embed(Exec& exec, const Tensor& table, std::span<const int32_t> ids, Tensor& out) {
  assert(exec.device.kind == DeviceKind::kCpu && out.rows() == static_cast<int64_t>(ids.size()) &&
         out.cols() == table.cols());
  (void)exec;
  check_ids(ids, table.rows());
  for (size_t i = 0; i < ids.size(); ++i) {
    float* to = out.f32() + static_cast<int64_t>(i) * out.row_stride();
    for (int64_t col = 0; col < table.cols(); ++col) to[col] = value_at(table, ids[i], col);
  }
}

void embed(Exec& exec, const Weight& table, std::span<const int32_t> ids, Tensor& out) {
  assert(exec.device.kind == DeviceKind::kCpu && out.rows() == static_cast<int64_t>(ids.size()) &&
         out.cols() == table.cols && out.dtype() == DType::kF32);
  check_ids(ids, table.rows);
  exec.pool->parallel_for(out.rows(), [&](int64_t row, int) {
    decode_row(table, ids[static_cast<size_t>(row)],
               std::span(out.f32() + row * out.row_stride(), static_cast<size_t>(out.cols())));
  });
}

void add(Exec& exec, const Tensor& x, Tensor& y) {
  assert(exec.device.kind == DeviceKind::kCpu && x.rows() == y.rows() && x.cols() == y.cols());
  (void)exec;
  for (int64_t row = 0; row < y.rows(); ++row) {
    for (int64_t col = 0; col < y.cols(); ++col) y.f32()[row * y.row_stride() + col] += value_at(x, row, col);
  }
}

}  // namespace omni::ops
