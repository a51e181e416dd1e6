#include <cassert>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/isa.h"
#include "tensor/float_bits.h"

// Convolution as a matrix product without a matrix of patches: a row of A is the taps of one output pixel, each tap a
// run of channels of the padded image.
namespace omni::cpu {
namespace {

constexpr int64_t kMaxTaps = 9;

const GemmTable& f32_table() {
  if (features().isa >= Isa::kAvx512 && gemm_f32_avx512() != nullptr) return *gemm_f32_avx512();
  if (features().isa >= Isa::kAvx2 && gemm_f32_avx2() != nullptr) return *gemm_f32_avx2();
  return *gemm_f32_scalar();
}

// [c_out, c_in, kh, kw] -> [c_out, kh * kw * padded channels], tap-major.
Tensor tap_major(const Tensor& values) {
  const int64_t outputs = values.shape()[0], channels = values.shape()[1];
  const int64_t taps = values.shape()[2] * values.shape()[3], padded = padded_channels(channels);
  Tensor out(DType::kF32, Shape{outputs, taps * padded});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  const float* from = values.f32();
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t tap = 0; tap < taps; ++tap) out.f32()[(o * taps + tap) * padded + c] = *from++;
    }
  }
  return out;
}

Tensor widened(Exec& exec, const Tensor& image) {
  Tensor out = exec.scratch.tensor(DType::kF32, image.shape());
  const uint16_t* from = image.data<uint16_t>();
  float* to = out.f32();
  const int64_t rows = image.shape()[0], count = image.shape().count() / rows;
  exec.pool->parallel_for(rows, [&](int64_t row, int) {
    for (int64_t i = row * count; i < (row + 1) * count; ++i) to[i] = bf16_to_f32(from[i]);
  });
  return out;
}

}  // namespace

Weight pack_conv(Exec& exec, const Tensor& values) {
  assert(values.shape().rank() == 4 && values.shape()[2] * values.shape()[3] <= kMaxTaps);
  const bool bf16 = exec.compute == DType::kBF16 && features().bf16 && gemm_bf16_avx512() != nullptr;
  return pack_panels(exec.pool, float_weight(tap_major(values)), bf16 ? Layout::kPanelBF16 : Layout::kPanelF32);
}

void conv(Exec& exec, const ConvArgs& args) {
  const Scratch::Mark mark(exec.scratch);
  const Weight& weight = *args.weight;
  const bool bf16 = weight.layout == Layout::kPanelBF16;
  Tensor image = *args.image;
  if (!bf16 && image.dtype() == DType::kBF16) image = widened(exec, image);
  assert(image.dtype() == (bf16 ? DType::kBF16 : DType::kF32) && image.contiguous());
  const GemmTable& table = bf16 ? *gemm_bf16_avx512() : f32_table();
  const int64_t width = image.shape()[1], height = image.shape()[0];
  const int64_t pixel = storage_bytes(image.dtype(), image.shape()[2]);
  const int64_t taps = args.kernel * args.kernel;
  assert(weight.cols == taps * image.shape()[2] && (args.stride == 1 || args.kernel == 3));
  // The border is 1: a 1x1 kernel, and tap (0, 0) with stride 2, start at the interior's first pixel.
  const int64_t start = args.kernel == 1 || args.stride == 2 ? 1 : 0;
  int64_t segments[kMaxTaps];
  for (int64_t tap = 0; tap < taps; ++tap) segments[tap] = (tap / args.kernel * width + tap % args.kernel) * pixel;
  Gemm job{.table = &table, .a = image.raw() + start * (width + 1) * pixel};
  job.lines = (height - 2) / args.stride;
  job.width = (width - 2) / args.stride;
  job.line_stride = args.stride * width * pixel;
  job.row_stride = args.stride * pixel;
  job.segments = segments;
  job.segment_count = taps;
  job.segment_steps = pixel / 4;
  job.panels = panel_view(weight);
  job.columns = weight.rows;
  job.out.bias = args.bias;
  if (args.residual != nullptr) {
    job.out.residual = args.residual->f32();
    job.out.residual_stride = args.residual->row_stride();
  }
  job.out.y = args.out->raw();
  job.out.y_stride = args.out->row_stride();
  gemm(exec, job);
}

}  // namespace omni::cpu
