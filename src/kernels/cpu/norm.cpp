#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/produce_rows.h"

namespace omni::cpu {

void norm(Exec& exec, const NormArgs& args) {
  const ProduceTable& table = produce_table();
  const Tensor& x = *args.x;
  produce_rows(exec, *args.out, [&](int64_t row, float* to) {
    return table.norm(NormRow{.x = x.f32() + row * x.row_stride(),
                              .gain = args.gain,
                              .shift = args.shift,
                              .gain_plus_one = args.gain_plus_one,
                              .subtract_mean = args.subtract_mean,
                              .eps = args.eps,
                              .count = x.cols()},
                      to);
  });
}

}  // namespace omni::cpu
