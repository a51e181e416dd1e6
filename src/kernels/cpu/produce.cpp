#include <algorithm>
#include <cassert>
#include <limits>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/produce_rows.h"

namespace omni::cpu {

namespace {

constexpr int64_t kChunkElements = 8192;  // some microseconds of work: well above the cost of handing out a chunk
constexpr int64_t kChunksPerThread = 4;

float scale_of(float largest, DType codes) {
  const float scale = largest / (codes == DType::kI8 ? 127.0f : 448.0f);
  return scale < std::numeric_limits<float>::min() ? 1.0f : scale;
}

RowCode code_of(const ActFormat& format) {
  if (format.quant == ActQuant::kNone) return RowCode::kFloat;
  return format.codes == DType::kI8 ? RowCode::kI8 : RowCode::kF8E4M3;
}

RowIn row_of(const Tensor& x, int64_t row) {
  return {x.raw() + storage_bytes(x.dtype(), row * x.row_stride()), x.dtype() == DType::kBF16};
}

void store(const Activation& out, int64_t row, const float* x, float scale) {
  std::byte* to = out.values.raw() + storage_bytes(out.format.storage, row * out.values.row_stride());
  produce_table().store(x, out.values.cols(), 1.0f / scale, code_of(out.format), out.format.storage, to);
}

void per_tensor(Exec& exec, Activation& out, FunctionRef<float(int64_t, float*)> compute, int64_t step) {
  const int64_t rows = out.values.rows(), cols = out.values.cols(), chunks = (rows + step - 1) / step;
  const Tensor wide = exec.scratch.tensor(DType::kF32, Shape{rows, cols});
  const Tensor largest = exec.scratch.tensor(DType::kF32, Shape{chunks});
  exec.pool->parallel_for(chunks, [&](int64_t chunk, int) {
    float most = 0;
    for (int64_t row = chunk * step; row < std::min(rows, (chunk + 1) * step); ++row) {
      most = std::max(most, compute(row, wide.f32() + row * cols));
    }
    largest.f32()[chunk] = most;
  });
  const float scale = scale_of(*std::max_element(largest.f32(), largest.f32() + chunks), out.format.codes);
  out.scales.f32()[0] = scale;
  exec.pool->parallel_for(chunks, [&](int64_t chunk, int) {
    for (int64_t row = chunk * step; row < std::min(rows, (chunk + 1) * step); ++row) {
      store(out, row, wide.f32() + row * cols, scale);
    }
  });
}

}  // namespace

const ProduceTable& produce_table() {
  switch (features().isa) {
    case Isa::kAvx512:
      return features().bf16 ? kProduceAvx512Bf16 : kProduceAvx512;
    case Isa::kAvx2:
      return kProduceAvx2;
    case Isa::kScalar:
      break;
  }
  return kProduceScalar;
}

int64_t rows_a_chunk(int64_t rows, int64_t cost, int threads) {
  const int64_t enough = std::max<int64_t>(1, kChunkElements / std::max<int64_t>(1, cost));
  const int64_t fair = (rows + threads * kChunksPerThread - 1) / (threads * kChunksPerThread);
  return std::max(enough, fair);
}

void produce_rows(Exec& exec, Activation& out, FunctionRef<float(int64_t, float*)> compute) {
  const int64_t rows = out.values.rows(), cols = out.values.cols();
  if (rows == 0 || cols == 0) return;
  const int64_t step = rows_a_chunk(rows, cols, exec.threads());
  const Scratch::Mark mark(exec.scratch);
  if (out.format.quant == ActQuant::kPerTensor) return per_tensor(exec, out, compute, step);
  const int64_t width = (cols + 15) / 16 * 16;
  const Tensor buffers = exec.scratch.tensor(DType::kF32, Shape{exec.threads(), width});
  const bool per_token = out.format.quant == ActQuant::kPerToken;
  const float fixed = out.format.quant == ActQuant::kStatic ? out.format.static_scale : 1.0f;
  if (out.format.quant == ActQuant::kStatic) out.scales.f32()[0] = fixed;
  exec.pool->parallel_for((rows + step - 1) / step, [&](int64_t chunk, int thread) {
    float* wide = buffers.f32() + thread * width;
    for (int64_t row = chunk * step; row < std::min(rows, (chunk + 1) * step); ++row) {
      const float largest = compute(row, wide);
      const float scale = per_token ? scale_of(largest, out.format.codes) : fixed;
      if (per_token) out.scales.f32()[row] = scale;
      store(out, row, wide, scale);
    }
  });
}

void produce(Exec& exec, const ProduceArgs& args) {
  const ProduceTable& table = produce_table();
  assert(args.a != nullptr || args.b != nullptr);
  const int64_t plain = args.a == nullptr ? 0 : args.a->cols();
  produce_rows(exec, *args.out, [&](int64_t row, float* to) {
    float largest = 0;
    if (args.a != nullptr) largest = table.activate(row_of(*args.a, row), Act::kNone, plain, to);
    if (args.b == nullptr) return largest;
    const RowIn b = row_of(*args.b, row);
    const float right = args.c == nullptr ? table.activate(b, args.act, args.b->cols(), to + plain)
                                          : table.gate(b, row_of(*args.c, row), args.act, args.b->cols(), to + plain);
    return std::max(largest, right);
  });
}

}  // namespace omni::cpu
