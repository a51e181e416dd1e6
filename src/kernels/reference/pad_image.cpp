#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/reference/produce_rows.h"
#include "kernels/reference/reference_ops.h"

namespace omni::reference {

namespace {

// value = (x - mean) * inverse; mean and inverse of each channel's group over all pixels.
struct Statistics {
  std::vector<double> mean, inverse;
};

Statistics group_statistics(const PadImageArgs& args) {
  const int64_t c = args.x->cols(), pixels = args.x->rows();
  Statistics out{std::vector<double>(static_cast<size_t>(c), 0), std::vector<double>(static_cast<size_t>(c), 1)};
  if (args.groups == 0) return out;
  const int64_t width = c / args.groups;
  const auto count = static_cast<double>(width * pixels);
  for (int64_t first = 0; first < c; first += width) {
    double mean = 0, square = 0;
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t i = first; i < first + width; ++i) mean += value_at(*args.x, p, i);
    }
    mean /= count;
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t i = first; i < first + width; ++i) square += std::pow(value_at(*args.x, p, i) - mean, 2);
    }
    for (int64_t i = first; i < first + width; ++i) {
      out.mean[static_cast<size_t>(i)] = mean;
      out.inverse[static_cast<size_t>(i)] = 1 / std::sqrt(square / count + args.eps);
    }
  }
  return out;
}

}  // namespace

void pad_image(Exec&, const PadImageArgs& args) {
  const Tensor& x = *args.x;
  const int64_t h = x.shape()[0], w = x.shape()[1], c = x.shape()[2];
  const Statistics statistics = group_statistics(args);
  std::memset(args.out->raw(), 0, static_cast<size_t>(args.out->bytes()));
  for (int64_t row = 0; row < h; ++row) {
    for (int64_t col = 0; col < w; ++col) {
      const int64_t from = row * w + col, to = (row + 1) * (w + 2) + col + 1;
      for (int64_t i = 0; i < c; ++i) {
        const auto channel = static_cast<size_t>(i);
        double value = (value_at(x, from, i) - statistics.mean[channel]) * statistics.inverse[channel];
        if (args.groups != 0) value = value * args.gain[i] + args.shift[i];
        set_value(*args.out, to, i, activate(args.silu ? Act::kSilu : Act::kNone, value));
      }
    }
  }
}

}  // namespace omni::reference
