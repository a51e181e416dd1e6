#include <cassert>
#include <cstring>

#include "kernels/reference/reference_ops.h"
#include "tensor/float_bits.h"

namespace omni::reference {
namespace {

double pixel_at(const Tensor& image, int64_t i) {
  return image.dtype() == DType::kBF16 ? bf16_to_f32(image.data<uint16_t>()[i]) : image.f32()[i];
}

// The padded image's row (or column) that a row of the padded repeated image shows; border to border.
int64_t small(int64_t at, int upsample) {
  return at == 0 ? 0 : (at - 1) / upsample + 1;
}

// One output value; the weight is [c_out, taps * channels], tap-major. With upsample the taps walk the repeated image,
// which has a border of one pixel of its own.
double convolve(const ConvArgs& args, int64_t y, int64_t x, int64_t output) {
  const Tensor& image = *args.image;
  const int64_t width = image.shape()[1], channels = image.shape()[2];
  const int64_t start = args.kernel == 1 || args.stride == 2 ? 1 : 0;
  const float* weight = args.weight->codes.f32() + output * args.weight->cols;
  double sum = 0;
  for (int64_t dy = 0; dy < args.kernel; ++dy) {
    for (int64_t dx = 0; dx < args.kernel; ++dx) {
      const int64_t row = y * args.stride + start + dy, col = x * args.stride + start + dx;
      const int64_t pixel = small(row, args.upsample) * width + small(col, args.upsample);
      for (int64_t c = 0; c < channels; ++c) sum += pixel_at(image, pixel * channels + c) * *weight++;
    }
  }
  return sum;
}

}  // namespace

Weight pack_conv(Exec&, const Tensor& values) {
  const int64_t outputs = values.shape()[0], channels = values.shape()[1];
  const int64_t taps = values.shape()[2] * values.shape()[3], padded = padded_channels(channels);
  Tensor out(DType::kF32, Shape{outputs, taps * padded});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t c = 0; c < channels; ++c)
        out.f32()[(o * taps + tap) * padded + c] = values.f32()[(o * channels + c) * taps + tap];
    }
  }
  return float_weight(std::move(out));
}

Weight pack_upsample_conv(Exec& exec, const Tensor& values) {
  return pack_conv(exec, values);
}

void conv(Exec& exec, const ConvArgs& args) {
  const int64_t height = (args.image->shape()[0] - 2) * args.upsample / args.stride;
  const int64_t width = (args.image->shape()[1] - 2) * args.upsample / args.stride;
  const int64_t outputs = args.weight->rows;
  assert(args.weight->cols == args.kernel * args.kernel * args.image->shape()[2]);
  exec.pool->parallel_for(height, [&](int64_t y, int) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t pixel = y * width + x;
      for (int64_t o = 0; o < outputs; ++o) {
        double value = convolve(args, y, x, o);
        if (args.bias != nullptr) value += args.bias[o];
        if (args.residual != nullptr) value += args.residual->f32()[pixel * args.residual->row_stride() + o];
        args.out->f32()[pixel * args.out->row_stride() + o] = static_cast<float>(value);
      }
    }
  });
}

}  // namespace omni::reference
