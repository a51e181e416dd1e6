#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/pad_image_table.h"
#include "kernels/cpu/produce_rows.h"

namespace omni::cpu {

namespace {

const PadImageTable& pad_image_table() {
  switch (features().isa) {
    case Isa::kAvx512:
      return features().bf16 ? kPadImageAvx512Bf16 : kPadImageAvx512;
    case Isa::kAvx2:
      return kPadImageAvx2;
    case Isa::kScalar:
      break;
  }
  return kPadImageScalar;
}

// Doubles in scratch memory.
double* doubles(Scratch& scratch, int64_t count) {
  return scratch.tensor(DType::kI64, Shape{count}).data<double>();
}

// Rows whose sums are added up by one thread: a fixed number, so that the result is the same for any number of threads.
int64_t rows_a_sum(int64_t rows) {
  constexpr int64_t kSums = 32;
  return std::max<int64_t>(1, rows / kSums);
}

// Per channel, what write_row needs: the group norm as value * gain + shift. Mean and variance of every group over all
// pixels, from sums around the image's first pixel (so that a large common mean does not cancel digits), merged in
// double.
struct Affine {
  float* gain;
  float* shift;
};

void merge_groups(const PadImageArgs& args, const double* sum, const double* square, const Affine& out) {
  const int64_t c = args.x->cols(), width = c / args.groups;
  const auto pixels = static_cast<double>(args.x->rows());
  const float* pivot = args.x->f32();
  for (int64_t first = 0; first < c; first += width) {
    double mean = 0, spread = 0;
    for (int64_t i = first; i < first + width; ++i) mean += pivot[i] + sum[i] / pixels;
    mean /= static_cast<double>(width);
    for (int64_t i = first; i < first + width; ++i) {
      const double own = pivot[i] + sum[i] / pixels;
      spread += square[i] - sum[i] * sum[i] / pixels + pixels * (own - mean) * (own - mean);
    }
    const double variance = std::max(0.0, spread / (pixels * static_cast<double>(width)));
    const double inverse = 1 / std::sqrt(variance + args.eps);
    for (int64_t i = first; i < first + width; ++i) {
      out.gain[i] = static_cast<float>(inverse * args.gain[i]);
      out.shift[i] = static_cast<float>(args.shift[i] - mean * static_cast<double>(out.gain[i]));
    }
  }
}

void group_statistics(Exec& exec, const PadImageArgs& args, const Affine& out) {
  const PadImageTable& table = pad_image_table();
  const int64_t h = args.x->shape()[0], w = args.x->shape()[1], c = args.x->cols();
  const int64_t step = rows_a_sum(h), chunks = (h + step - 1) / step;
  double* sums = doubles(exec.scratch, chunks * 2 * c);
  exec.pool->parallel_for(chunks, [&](int64_t chunk, int) {
    double *sum = sums + chunk * 2 * c, *square = sum + c;
    std::fill_n(sum, 2 * c, 0.0);
    for (int64_t y = chunk * step; y < std::min(h, (chunk + 1) * step); ++y) {
      table.add_row({args.x->f32() + y * w * c, w, c, args.x->f32(), sum, square});
    }
  });
  for (int64_t chunk = 1; chunk < chunks; ++chunk) {
    for (int64_t i = 0; i < 2 * c; ++i) sums[i] += sums[chunk * 2 * c + i];
  }
  merge_groups(args, sums, sums + c, out);
}

}  // namespace

void pad_image(Exec& exec, const PadImageArgs& args) {
  const PadImageTable& table = pad_image_table();
  const Tensor& x = *args.x;
  const int64_t h = x.shape()[0], w = x.shape()[1], c = x.shape()[2];
  const int64_t step = rows_a_chunk(h, w * c, exec.threads());
  const Scratch::Mark mark(exec.scratch);
  const Tensor vectors = exec.scratch.tensor(DType::kF32, Shape{2, c});
  const Affine affine{vectors.f32(), vectors.f32() + c};
  if (args.groups > 0) group_statistics(exec, args, affine);

  const int64_t pixel = storage_bytes(args.out->dtype(), args.out->cols()), line = (w + 2) * pixel;
  std::byte* const image = args.out->raw();
  std::memset(image, 0, static_cast<size_t>(line));
  std::memset(image + (h + 1) * line, 0, static_cast<size_t>(line));
  exec.pool->parallel_for((h + step - 1) / step, [&](int64_t chunk, int) {
    for (int64_t y = chunk * step; y < std::min(h, (chunk + 1) * step); ++y) {
      std::byte* out = image + (y + 1) * line;
      std::memset(out, 0, static_cast<size_t>(pixel));
      std::memset(out + line - pixel, 0, static_cast<size_t>(pixel));
      table.write_row(PixelRow{.x = x.f32() + y * w * c,
                               .width = w,
                               .channels = c,
                               .gain = args.groups > 0 ? affine.gain : nullptr,
                               .shift = affine.shift,
                               .silu = args.silu,
                               .out = out + pixel,
                               .padded_channels = args.out->cols(),
                               .bf16 = args.out->dtype() == DType::kBF16});
    }
  });
}

}  // namespace omni::cpu
