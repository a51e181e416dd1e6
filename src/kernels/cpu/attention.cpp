#include <algorithm>

#include "kernels/cpu/attention_table.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/isa.h"

namespace omni::cpu {

namespace {

const AttentionTable& attention_table(DType operands) {
  switch (features().isa) {
    case Isa::kAvx512:
      return operands == DType::kBF16 && features().bf16 ? kAttentionAvx512Bf16 : kAttentionAvx512;
    case Isa::kAvx2:
      return kAttentionAvx2;
    case Isa::kScalar:
      break;
  }
  return kAttentionScalar;
}

int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

// Every head's keys and values in panels: floats of a head, and where they lie.
struct Packed {
  AttentionShape shape;
  int64_t k_words = 0, v_words = 0;  // 32-bit words a head
  uint32_t* k = nullptr;
  uint32_t* v = nullptr;
};

Packed pack_heads(Exec& exec, const AttentionArgs& args, const AttentionTable& table) {
  const int64_t heads = args.k->shape()[0], keys = args.k->shape()[1], d = args.k->shape()[2];
  Packed out{.shape = {.tokens = args.q->shape()[1],
                       .keys = keys,
                       .d = d,
                       .padded_keys = round_up(keys, table.panel),
                       .padded_d = round_up(d, table.panel),
                       .bf16 = args.q->dtype() == DType::kBF16}};
  out.k_words = out.shape.padded_keys * d / table.step;
  out.v_words = out.shape.padded_keys * out.shape.padded_d / table.step;
  out.k = exec.scratch.tensor(DType::kI32, Shape{heads * out.k_words}).data<uint32_t>();
  out.v = exec.scratch.tensor(DType::kI32, Shape{heads * out.v_words}).data<uint32_t>();
  const int64_t panels = out.shape.padded_keys / table.panel;
  exec.pool->parallel_for(heads * panels, [&](int64_t chunk, int) {
    const int64_t head = chunk / panels, from = storage_bytes(args.k->dtype(), head * keys * d);
    table.pack(AttentionPack{.shape = out.shape,
                             .k = args.k->raw() + from,
                             .v = args.v->raw() + from,
                             .begin = chunk % panels * table.panel,
                             .packed_k = out.k + head * out.k_words,
                             .packed_v = out.v + head * out.v_words});
  });
  return out;
}

AttentionUnit unit_of(const AttentionArgs& args, const Packed& packed, int64_t head, int64_t begin) {
  const int64_t tokens = packed.shape.tokens, keys = packed.shape.keys, d = packed.shape.d;
  const int64_t to = begin * args.out->row_stride() + head * d;
  return AttentionUnit{.shape = packed.shape,
                       .q = args.q->raw() + storage_bytes(args.q->dtype(), head * tokens * d),
                       .packed_k = packed.k + head * packed.k_words,
                       .packed_v = packed.v + head * packed.v_words,
                       .scale = args.scale,
                       .bias = args.bias == nullptr ? nullptr : args.bias + head * tokens * keys,
                       .causal = args.causal,
                       .begin = begin,
                       .count = std::min(kQueryBlock, tokens - begin),
                       .out = args.out->raw() + storage_bytes(args.out->dtype(), to),
                       .out_stride = args.out->row_stride(),
                       .out_bf16 = args.out->dtype() == DType::kBF16,
                       .buffers = {}};
}

}  // namespace

void attention(Exec& exec, const AttentionArgs& args) {
  const AttentionTable& table = attention_table(args.q->dtype());
  const Scratch::Mark mark(exec.scratch);
  const Packed packed = pack_heads(exec, args, table);
  const int64_t heads = args.q->shape()[0], d = packed.shape.d, threads = exec.threads();
  const auto buffer = [&](int64_t cols) {
    return exec.scratch.tensor(DType::kF32, Shape{threads, kQueryBlock * cols});
  };
  const Tensor scores = buffer(kKeyBlock), weights = buffer(kKeyBlock / 2), sums = buffer(packed.shape.padded_d);
  const Tensor queries = buffer(d);
  const int64_t blocks = (packed.shape.tokens + kQueryBlock - 1) / kQueryBlock;
  exec.pool->parallel_for(heads * blocks, [&](int64_t chunk, int thread) {
    // The last blocks of a causal head see most keys: they go first.
    AttentionUnit unit = unit_of(args, packed, chunk / blocks, (blocks - 1 - chunk % blocks) * kQueryBlock);
    unit.buffers = {.scores = scores.f32() + thread * scores.cols(),
                    .weights = weights.data<uint32_t>() + thread * weights.cols(),
                    .sums = sums.f32() + thread * sums.cols(),
                    .queries = queries.data<uint32_t>() + thread * queries.cols()};
    table.run(unit);
  });
}

}  // namespace omni::cpu
