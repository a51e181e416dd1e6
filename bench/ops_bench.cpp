#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include "bench/peak.h"
#include "kernels/cpu/cpu_ops.h"

// Attention and norms at the shapes of a small and a large diffusion transformer, CLIP and the VAE. `best` is the best
// of the repetitions: 1e9 operations a second for attention with its share of the measured peak, GB/s (read and
// written) for norms.
namespace omni::bench {
namespace {

// OMNI_BENCH_THREADS, else one for every processor. One thread is timed by its own processor time.
ThreadPool& pool() {
  const char* wish = std::getenv("OMNI_BENCH_THREADS");
  static ThreadPool instance(wish == nullptr ? 0 : std::atoi(wish));
  return instance;
}

Tensor random_values(Shape shape, DType dtype) {
  Tensor out(DType::kF32, shape);
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> values(-1.0f, 1.0f);
  for (int64_t i = 0; i < shape.count(); ++i) out.f32()[i] = values(generator);
  return dtype == DType::kF32 ? out : cast(out, dtype);
}

template <class F>
double best_seconds(benchmark::State& state, F run) {
  double best = std::numeric_limits<double>::infinity();
  for (auto _ : state) {
    const double start = seconds(pool());
    run();
    best = std::min(best, seconds(pool()) - start);
  }
  return best;
}

struct AttentionShape {
  int64_t heads, tokens, d;
  bool causal;
};
constexpr AttentionShape kAttention[] = {
    {4, 288, 64, false}, {12, 77, 64, true}, {24, 1536, 128, false}, {24, 4608, 128, false}, {1, 4096, 512, false},
};

void run_attention(benchmark::State& state, const AttentionShape& s, DType dtype) {
  Exec exec;
  exec.pool = &pool();
  const Tensor q = random_values(Shape{s.heads, s.tokens, s.d}, dtype), k = random_values(q.shape(), dtype);
  const Tensor v = random_values(q.shape(), dtype);
  Tensor out(dtype, Shape{s.tokens, s.heads * s.d});
  const AttentionArgs args{
      .q = &q, .k = &k, .v = &v, .scale = 1 / std::sqrt(static_cast<float>(s.d)), .causal = s.causal, .out = &out};
  const double best = best_seconds(state, [&] { cpu::attention(exec, args); });
  const double operations = 4.0 * static_cast<double>(s.heads * s.tokens * s.tokens * s.d) * (s.causal ? 0.5 : 1);
  state.counters["best"] = operations / best * 1e-9;
  state.counters["best_us"] = best * 1e6;
  static const double peaks[2] = {peak_gops(pool(), Unit::kF32), peak_gops(pool(), Unit::kBF16)};
  const double peak = peaks[dtype == DType::kBF16 ? 1 : 0];
  if (peak > 0) state.counters["of_peak_%"] = operations / best * 1e-7 / peak;
}

void run_norm(benchmark::State& state, int64_t rows, int64_t cols, const ActFormat& format) {
  Exec exec;
  exec.pool = &pool();
  const Tensor x = random_values(Shape{rows, cols}, DType::kF32), gain = random_values(Shape{cols}, DType::kF32);
  Activation out{format, Tensor(format.storage, x.shape()), Tensor(DType::kF32, Shape{rows})};
  const NormArgs args{.x = &x, .gain = gain.f32(), .shift = gain.f32(), .gain_plus_one = true, .out = &out};
  const double best = best_seconds(state, [&] { cpu::norm(exec, args); });
  state.counters["best"] = static_cast<double>(x.bytes() + out.values.bytes()) / best * 1e-9;
  state.counters["best_us"] = best * 1e6;
}

void register_all() {
  for (const DType dtype : {DType::kBF16, DType::kF32}) {
    for (const AttentionShape& s : kAttention) {
      const std::string name = "attention/" + std::string(dtype_name(dtype)) + "/" + std::to_string(s.heads) + "x" +
                               std::to_string(s.tokens) + "x" + std::to_string(s.d) + (s.causal ? "/causal" : "");
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        run_attention(state, s, dtype);
      })->UseRealTime();
    }
  }
  const ActFormat formats[] = {{.storage = DType::kF32},
                               {.storage = DType::kBF16},
                               {ActQuant::kPerToken, DType::kI8, DType::kU8},
                               {ActQuant::kPerTensor, DType::kI8, DType::kU8},
                               {ActQuant::kPerToken, DType::kF8E4M3, DType::kBF16}};
  for (const ActFormat& format : formats) {
    for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{288, 256}, {4608, 3072}}) {
      const std::string name = "norm/" + std::string(dtype_name(format.storage)) +
                               (format.quant == ActQuant::kPerTensor ? "/tensor/" : "/") + std::to_string(rows) + "x" +
                               std::to_string(cols);
      benchmark::RegisterBenchmark(name.c_str(), [=, r = rows, c = cols](benchmark::State& state) {
        run_norm(state, r, c, format);
      })->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace omni::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  omni::bench::register_all();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
