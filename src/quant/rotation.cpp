#include "quant/rotation.h"

#include <cassert>
#include <cstddef>
#include <vector>

namespace omni {

bool is_rotation_size(int block) {
  if (block < 4) return false;
  while (block >= 4 && block % 4 == 0) block /= 4;
  return block == 1;
}

void rotate_blocks(std::span<float> values, int block) {
  assert(block > 1 && is_rotation_size(block) && values.size() % static_cast<size_t>(block) == 0);
  const auto size = static_cast<size_t>(block);
  std::vector<double> x(size);
  for (size_t begin = 0; begin < values.size(); begin += size) {
    x.assign(values.begin() + static_cast<std::ptrdiff_t>(begin),
             values.begin() + static_cast<std::ptrdiff_t>(begin + size));
    for (size_t step = 1; step < size; step *= 4) {  // one Kronecker factor: entries `step` apart meet
      for (size_t i = 0; i < size; ++i) {
        if (i / step % 4 != 0) continue;
        double &a = x[i], &b = x[i + step], &c = x[i + 2 * step], &d = x[i + 3 * step];
        const double half = (a + b + c + d) / 2;  // each output is half the sum, less the one entry with a minus
        const double a_in = a, b_in = b;
        a = half - d;
        d = half - a_in;
        b = half - c;
        c = half - b_in;
      }
    }
    for (size_t i = 0; i < size; ++i) values[begin + i] = static_cast<float>(x[i]);
  }
}

}  // namespace omni
