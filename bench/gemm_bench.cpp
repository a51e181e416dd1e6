#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <string>

#include "bench/peak.h"
#include "kernels/linear.h"
#include "quant/codec.h"

// GEMM of every linear kernel at the shapes of a small and a large diffusion transformer. `best` is the best of the
// repetitions in one run, in 1e9 operations a second; `of_peak` its share of the measured peak of the unit it runs on.
namespace omni::bench {
namespace {

struct GemmShape {
  int64_t m, n, k;
};
constexpr GemmShape kShapes[] = {
    {288, 768, 256}, {288, 1792, 256}, {288, 256, 1280}, {256, 1024, 256}, {32, 1024, 256}, {4608, 3072, 3072},
};
constexpr const char* kSchemes[] = {"float", "int8", "fp8", "int4", "nf4", "nvfp4", "q8_0", "q4_k", "q6_k"};

// OMNI_BENCH_THREADS, else one for every processor. One thread is timed by its own processor time.
int threads_wish() {
  const char* wish = std::getenv("OMNI_BENCH_THREADS");
  return wish == nullptr ? 0 : std::atoi(wish);
}

ThreadPool& pool() {
  static ThreadPool instance(threads_wish());
  return instance;
}

Unit unit_of(const LinearKernel& kernel) {
  const std::string name(kernel.name());
  if (name.find("int8_int8") != std::string::npos) return Unit::kInt8;
  return name.find("bf16") != std::string::npos ? Unit::kBF16 : Unit::kF32;
}

double peak_of(Unit unit) {
  static std::map<Unit, double> measured;
  const auto [entry, fresh] = measured.try_emplace(unit, 0.0);
  if (fresh) entry->second = peak_gops(pool(), unit);
  return entry->second;
}

Tensor random_matrix(int64_t rows, int64_t cols, float scale) {
  Tensor out(DType::kF32, Shape{rows, cols});
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> values(-scale, scale);
  for (int64_t i = 0; i < rows * cols; ++i) out.f32()[i] = values(generator);
  return out;
}

void run_gemm(benchmark::State& state, const LinearKernel& kernel, const std::string& scheme, const GemmShape& shape,
              DType compute) {
  Exec exec;
  exec.pool = &pool();
  exec.compute = compute;
  const Tensor values = random_matrix(shape.n, shape.k, 0.05f);
  const Weight canonical = scheme == "float" ? float_weight(cast(values, DType::kBF16))
                                             : encode(values, find_preset(scheme)->scheme, scheme, &pool());
  const Weight packed = kernel.pack(exec, canonical);
  const Activation x = quantize_activation(random_matrix(shape.m, shape.k, 1.0f), kernel.wants(packed, compute));
  const Tensor bias = random_matrix(1, shape.n, 1.0f);
  Tensor y(DType::kF32, Shape{shape.m, shape.n});
  double best = std::numeric_limits<double>::infinity();
  for (auto _ : state) {
    const double start = seconds(pool());
    kernel.run(exec, packed, x, y, {.bias = bias.f32()});
    best = std::min(best, seconds(pool()) - start);
  }
  const double operations = 2.0 * static_cast<double>(shape.m * shape.n * shape.k);
  const double peak = peak_of(unit_of(kernel));
  state.counters["best"] = operations / best * 1e-9;
  if (peak > 0) state.counters["of_peak_%"] = operations / best * 1e-7 / peak;
}

void register_all() {
  for (const LinearKernel* kernel : linear_kernels()) {
    if (kernel->is_reference()) continue;
    for (const std::string scheme : kSchemes) {
      for (const GemmShape& shape : kShapes) {
        const bool bf16 = unit_of(*kernel) == Unit::kBF16;
        const DType compute = bf16 ? DType::kBF16 : DType::kF32;
        const bool floats = scheme == "float";
        const QuantScheme numbers = floats ? QuantScheme{} : find_preset(scheme)->scheme;
        const LinearProblem problem{numbers, floats ? DType::kBF16 : DType::kNone, shape.n, shape.k, compute, Device{}};
        if (!kernel->supports(problem).ok) continue;
        const std::string name = std::string(kernel->name()) + "/" + scheme + "/" + std::to_string(shape.m) + "x" +
                                 std::to_string(shape.n) + "x" + std::to_string(shape.k);
        benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
          run_gemm(state, *kernel, scheme, shape, compute);
        })->UseRealTime();
      }
    }
  }
}

}  // namespace
}  // namespace omni::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  using omni::bench::Unit;
  std::printf("%d threads; peak Gop/s: f32 %.0f, bf16 %.0f, int8 %.0f\n", omni::bench::pool().threads(),
              omni::bench::peak_of(Unit::kF32), omni::bench::peak_of(Unit::kBF16), omni::bench::peak_of(Unit::kInt8));
  omni::bench::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
