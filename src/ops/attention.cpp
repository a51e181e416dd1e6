#include <cassert>

#include "ops/dispatch.h"
#include "ops/ops.h"

namespace omni::ops {

void qkv(Exec& exec, const QkvArgs& args) {
  assert(args.x != nullptr && is_float_operand(*args.x));
  assert(args.heads > 0 && args.head_dim > 0 && args.head_dim <= 512);
  assert((args.cos == nullptr) == (args.sin == nullptr));
  assert(args.cos == nullptr || args.head_dim % 2 == 0);
  int64_t parts = 0;
  for (const Tensor* out : {args.q, args.k, args.v}) {
    if (out == nullptr) continue;
    ++parts;
    assert(is_float_operand(*out) && out->contiguous() && out->shape().rank() == 3);
    assert(out->shape()[0] == args.heads && out->shape()[2] == args.head_dim);
    assert(args.token_offset >= 0 && args.token_offset + args.x->rows() <= out->shape()[1]);
  }
  assert(args.q != nullptr && args.k != nullptr && args.x->cols() >= parts * args.heads * args.head_dim);
  dispatch(exec, cpu::qkv, cuda::qkv, args);
}

void attention(Exec& exec, const AttentionArgs& args) {
  const Tensor &q = *args.q, &k = *args.k, &v = *args.v;
  assert(q.shape().rank() == 3 && k.shape() == v.shape() && q.contiguous() && k.contiguous() && v.contiguous());
  assert(is_float_operand(q) && q.dtype() == k.dtype() && q.dtype() == v.dtype());
  assert(q.shape()[0] == k.shape()[0] && q.shape()[2] == k.shape()[2] && k.shape()[1] > 0);
  assert(q.shape()[2] % 8 == 0 && q.shape()[2] <= 512);
  assert(!args.causal || k.shape()[1] >= q.shape()[1]);  // so that every query sees a key
  assert(args.out->rows() == q.shape()[1] && args.out->cols() == q.shape()[0] * q.shape()[2]);
  assert(is_float_operand(*args.out));
  dispatch(exec, cpu::attention, cuda::attention, args);
}

void split_heads(Exec& exec, const SplitHeadsArgs& args) {
  const Tensor &x = *args.x, &out = *args.out;
  assert(is_float_operand(x) && is_float_operand(out) && out.contiguous() && out.shape().rank() == 3);
  assert(x.cols() == out.shape()[0] * out.shape()[2] && out.shape()[2] <= 512);
  assert((args.cos == nullptr) == (args.sin == nullptr) && (args.cos == nullptr || out.shape()[2] % 2 == 0));
  assert(args.offset >= 0 && args.offset + x.rows() <= out.shape()[1]);
  dispatch(exec, cpu::split_heads, cuda::split_heads, args);
}

void causal_attention(Exec& exec, const CausalAttentionArgs& args) {
  const Tensor &q = *args.q, &k = *args.k, &v = *args.v;
  assert(q.shape().rank() == 3 && k.shape() == v.shape() && q.contiguous() && k.contiguous() && v.contiguous());
  assert(is_float_operand(q) && q.dtype() == k.dtype() && q.dtype() == v.dtype());
  assert(q.shape()[0] % k.shape()[0] == 0 && q.shape()[2] == k.shape()[2] && q.shape()[2] <= 512);
  assert(args.keys >= q.shape()[1] && args.keys <= k.shape()[1]);
  assert(args.out->rows() == q.shape()[1] && args.out->cols() == q.shape()[0] * q.shape()[2]);
  assert(is_float_operand(*args.out));
  dispatch(exec, cpu::causal_attention, cuda::causal_attention, args);
}

}  // namespace omni::ops
