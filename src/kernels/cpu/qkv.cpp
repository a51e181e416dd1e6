#include <algorithm>
#include <cassert>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/produce_rows.h"
#include "kernels/cpu/qkv_table.h"

namespace omni::cpu {

namespace {

const QkvTable& qkv_table() {
  switch (features().isa) {
    case Isa::kAvx512:
      return features().bf16 ? kQkvAvx512Bf16 : kQkvAvx512;
    case Isa::kAvx2:
      return kQkvAvx2;
    case Isa::kScalar:
      break;
  }
  return kQkvScalar;
}

// Part (0 q, 1 k, 2 v) of one row: all its heads.
void split_row(const QkvTable& table, const QkvArgs& args, int part, int64_t row) {
  Tensor* out = part == 0 ? args.q : part == 1 ? args.k : args.v;
  if (out == nullptr) return;
  const int64_t d = args.head_dim, token = args.token_offset + row;
  const bool rotated = args.cos != nullptr && part < 2;
  const int64_t x_bytes = args.x->dtype() == DType::kBF16 ? 2 : 4, tokens = out->shape()[1];
  table.heads(QkvHeads{.x = args.x->raw() + (row * args.x->row_stride() + part * args.heads * d) * x_bytes,
                       .x_bf16 = args.x->dtype() == DType::kBF16,
                       .gain = part == 0   ? args.q_gain
                               : part == 1 ? args.k_gain
                                           : nullptr,
                       .eps = args.eps,
                       .cos = rotated ? args.cos + token * (d / 2) : nullptr,
                       .sin = rotated ? args.sin + token * (d / 2) : nullptr,
                       .heads = args.heads,
                       .count = d,
                       .out = out->raw() + storage_bytes(out->dtype(), token * d),
                       .out_stride = tokens * d,
                       .out_bf16 = out->dtype() == DType::kBF16});
}

}  // namespace

void qkv(Exec& exec, const QkvArgs& args) {
  assert(args.head_dim <= kMaxHeadDim);
  const QkvTable& table = qkv_table();
  const int64_t rows = args.x->rows();
  const int64_t step = rows_a_chunk(rows, 3 * args.heads * args.head_dim, exec.threads());
  exec.pool->parallel_for((rows + step - 1) / step, [&](int64_t chunk, int) {
    for (int64_t row = chunk * step; row < std::min(rows, (chunk + 1) * step); ++row) {
      for (int part = 0; part < 3; ++part) split_row(table, args, part, row);
    }
  });
}

}  // namespace omni::cpu
