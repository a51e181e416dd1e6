#include <algorithm>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/decoder_table.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/produce_rows.h"

namespace omni::cpu {

namespace {

const DecoderTable& decoder_table() {
  switch (features().isa) {
    case Isa::kAvx512:
      return kDecoderAvx512;
    case Isa::kAvx2:
      return kDecoderAvx2;
    case Isa::kScalar:
      break;
  }
  return kDecoderScalar;
}

std::byte* row_of(const Tensor& x, int64_t row, int64_t col) {
  return x.raw() + storage_bytes(x.dtype(), row * x.row_stride() + col);
}

}  // namespace

void split_heads(Exec& exec, const SplitHeadsArgs& args) {
  const DecoderTable& table = decoder_table();
  const int64_t heads = args.out->shape()[0], capacity = args.out->shape()[1], d = args.out->shape()[2];
  const int64_t rows = args.x->rows(), step = rows_a_chunk(rows, args.x->cols(), exec.threads());
  exec.pool->parallel_for((rows + step - 1) / step, [&](int64_t chunk, int) {
    for (int64_t row = chunk * step; row < std::min(rows, (chunk + 1) * step); ++row) {
      for (int64_t head = 0; head < heads; ++head) {
        table.split_head(DecoderHead{.x = row_of(*args.x, row, head * d),
                                     .x_bf16 = args.x->dtype() == DType::kBF16,
                                     .gain = args.gain,
                                     .eps = args.eps,
                                     .cos = args.cos == nullptr ? nullptr : args.cos + row * (d / 2),
                                     .sin = args.sin == nullptr ? nullptr : args.sin + row * (d / 2),
                                     .count = d,
                                     .out = row_of(*args.out, head * capacity + args.offset + row, 0),
                                     .out_bf16 = args.out->dtype() == DType::kBF16});
      }
    }
  });
}

void causal_attention(Exec& exec, const CausalAttentionArgs& args) {
  const DecoderTable& table = decoder_table();
  const Tensor &q = *args.q, &k = *args.k, &v = *args.v;
  const int64_t heads = q.shape()[0], m = q.shape()[1], d = q.shape()[2];
  const int64_t capacity = k.shape()[1], group = heads / k.shape()[0];
  const int64_t units = heads * m, step = rows_a_chunk(units, 2 * args.keys * d, exec.threads());
  exec.pool->parallel_for((units + step - 1) / step, [&](int64_t chunk, int) {
    for (int64_t unit = chunk * step; unit < std::min(units, (chunk + 1) * step); ++unit) {
      const int64_t head = unit / m, token = unit % m, first = head / group * capacity;
      table.attend(DecoderQuery{.q = row_of(q, unit, 0),
                                .k = row_of(k, first, 0),
                                .v = row_of(v, first, 0),
                                .bf16 = q.dtype() == DType::kBF16,
                                .keys = args.keys - m + token + 1,
                                .d = d,
                                .scale = args.scale,
                                .out = row_of(*args.out, token, head * d),
                                .out_bf16 = args.out->dtype() == DType::kBF16});
    }
  });
}

}  // namespace omni::cpu
