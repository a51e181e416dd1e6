#include <cassert>
#include <cstring>
#include <utility>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/isa.h"
#include "tensor/float_bits.h"

// Convolution as a matrix product without a matrix of patches: a row of A is the taps of one output pixel, each tap a
// run of channels of the padded image.
namespace omni::cpu {
namespace {

constexpr int64_t kMaxTaps = 9;

// Outputs of one parity of an upsampling convolution start at a panel of their own.
int64_t padded_outputs(int64_t outputs) {
  return (outputs + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
}

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

Weight pack(Exec& exec, Tensor rows) {
  const bool bf16 = exec.compute == DType::kBF16 && features().bf16 && gemm_bf16_avx512() != nullptr;
  return pack_panels(exec.pool, float_weight(std::move(rows)), bf16 ? Layout::kPanelBF16 : Layout::kPanelF32);
}

// The product of a square of size x size taps: tap (0, 0) of output (0, 0) reads pixel (y, x) of the padded image.
struct Taps {
  int64_t y = 0, x = 0, size = 1;
};

Gemm product(const ConvArgs& args, const Tensor& image, const Taps& taps, int64_t* segments) {
  const int64_t width = image.shape()[1], height = image.shape()[0];
  const int64_t pixel = storage_bytes(image.dtype(), image.shape()[2]);
  for (int64_t tap = 0; tap < taps.size * taps.size; ++tap) {
    segments[tap] = (tap / taps.size * width + tap % taps.size) * pixel;
  }
  Gemm job{.table = image.dtype() == DType::kBF16 ? gemm_bf16_avx512() : &f32_table()};
  job.a = image.raw() + (taps.y * width + taps.x) * pixel;
  job.lines = (height - 2) / args.stride;
  job.width = (width - 2) / args.stride;
  job.line_stride = args.stride * width * pixel;
  job.row_stride = args.stride * pixel;
  job.segments = segments;
  job.segment_count = taps.size * taps.size;
  job.segment_steps = pixel / 4;
  job.panels = panel_view(*args.weight);
  job.columns = args.out->cols();
  job.out.bias = args.bias;
  if (args.residual != nullptr) {
    job.out.residual = args.residual->f32();
    job.out.residual_stride = args.residual->row_stride();
  }
  job.out.y = args.out->raw();
  job.out.y_stride = args.out->row_stride();
  return job;
}

// Of the repeated image, the outputs at even (odd) rows and columns see the same 2 x 2 pixels of the small image with
// the same sums of taps: four products of 4 taps, one a parity, in place of one of 9 taps.
void upsample_conv(Exec& exec, const ConvArgs& args, const Tensor& image) {
  const int64_t parity_panels = padded_outputs(args.out->cols()) / kPanelColumns;
  assert(args.weight->rows == 4 * parity_panels * kPanelColumns && args.weight->cols == 4 * image.shape()[2]);
  for (int64_t parity = 0; parity < 4; ++parity) {
    const int64_t y = parity / 2, x = parity % 2;
    int64_t segments[4];
    Gemm job = product(args, image, Taps{.y = y, .x = x, .size = 2}, segments);
    job.panels.data += parity * parity_panels * job.panels.panel_bytes;
    const int64_t first = y * args.out->shape()[1] + x;
    job.out.y = args.out->f32() + first * job.out.y_stride;
    job.out.y_stride *= 2;
    if (args.residual != nullptr) {
      job.out.residual += first * job.out.residual_stride;
      job.out.residual_stride *= 2;
    }
    job.output_width = 2 * job.width;
    gemm(exec, job);
  }
}

}  // namespace

Weight pack_conv(Exec& exec, const Tensor& values) {
  assert(values.shape().rank() == 4 && values.shape()[2] * values.shape()[3] <= kMaxTaps);
  return pack(exec, tap_major(values));
}

Weight pack_upsample_conv(Exec& exec, const Tensor& values) {
  const int64_t outputs = values.shape()[0], channels = values.shape()[1], padded = padded_channels(channels);
  const int64_t parity_rows = padded_outputs(outputs), cols = 4 * padded;
  Tensor rows(DType::kF32, Shape{4 * parity_rows, cols});
  std::memset(rows.raw(), 0, static_cast<size_t>(rows.bytes()));
  exec.pool->parallel_for(outputs, [&](int64_t output, int) {
    for (int64_t parity = 0; parity < 4; ++parity) {
      float* const row = rows.f32() + (parity * parity_rows + output) * cols;
      const float* from = values.f32() + output * channels * 9;
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t y = (tap / 3 + 1 - parity / 2) / 2, x = (tap % 3 + 1 - parity % 2) / 2;
          row[(2 * y + x) * padded + c] += *from++;
        }
      }
    }
  });
  return pack(exec, std::move(rows));
}

void conv(Exec& exec, const ConvArgs& args) {
  const Scratch::Mark mark(exec.scratch);
  const bool bf16 = args.weight->layout == Layout::kPanelBF16;
  Tensor image = *args.image;
  if (!bf16 && image.dtype() == DType::kBF16) image = widened(exec, image);
  assert(image.dtype() == (bf16 ? DType::kBF16 : DType::kF32) && image.contiguous());
  if (args.upsample == 2) return upsample_conv(exec, args, image);
  assert(args.weight->cols == args.kernel * args.kernel * image.shape()[2] && (args.stride == 1 || args.kernel == 3));
  // The border is 1: a 1x1 kernel, and tap (0, 0) with stride 2, start at the interior's first pixel.
  const int64_t start = args.kernel == 1 || args.stride == 2 ? 1 : 0;
  int64_t segments[kMaxTaps];
  gemm(exec, product(args, image, Taps{.y = start, .x = start, .size = args.kernel}, segments));
}

}  // namespace omni::cpu
