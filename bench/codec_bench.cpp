// GB/s of f32 values that each type encodes and decodes, beside this machine's own copy.
// usage: omni_bench_codec [--threads N] [--json] [--rows R --cols C] [TYPE ...]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "bench/peak.h"
#include "quant/codec.h"
#include "quant/codec_parts.h"
#include "tensor/torch_random.h"

namespace {

using namespace omni;

struct Options {
  int threads = 1;
  bool json = false;
  int64_t rows = 2048, cols = 4096;  // 32 MiB of f32: more than the caches
  std::vector<std::string> types;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const auto number = [&] { return i + 1 < argc ? std::stol(argv[++i]) : 0L; };
    if (arg == "--threads")
      o.threads = static_cast<int>(number());
    else if (arg == "--rows")
      o.rows = number();
    else if (arg == "--cols")
      o.cols = number();
    else if (arg == "--json")
      o.json = true;
    else
      o.types.push_back(arg);
  }
  return o;
}

// Median GB/s of moving `bytes` of f32 values by body.
template <class Body>
double gigabytes_a_second(const ThreadPool& pool, int64_t bytes, Body body) {
  std::vector<double> seconds;
  body();
  double spent = 0;
  while (seconds.size() < 3 || (spent < 0.5 && seconds.size() < 15)) {
    const double begin = bench::seconds(pool);
    body();
    seconds.push_back(bench::seconds(pool) - begin);
    spent += seconds.back();
  }
  std::ranges::nth_element(seconds, seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2));
  return 1e-9 * static_cast<double>(bytes) / seconds[seconds.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  ThreadPool pool(o.threads);
  Tensor values(DType::kF32, Shape{o.rows, o.cols}), copy(DType::kF32, Shape{o.rows, o.cols});
  TorchGenerator generator(1);
  generator.randn({values.f32(), static_cast<size_t>(o.rows * o.cols)});
  const int64_t bytes = values.bytes();

  nlohmann::json out;
  const double ceiling = gigabytes_a_second(pool, bytes, [&] {
    for_rows(o.rows, o.cols, &pool, [&](int64_t row) {
      std::memcpy(copy.f32() + row * o.cols, values.f32() + row * o.cols, static_cast<size_t>(o.cols) * 4);
    });
  });
  out["copy"] = ceiling;
  if (!o.json) {
    std::printf("%ld x %ld values, %d thread%s; copying f32: %.1f GB/s\n", static_cast<long>(o.rows),
                static_cast<long>(o.cols), o.threads, o.threads == 1 ? "" : "s", ceiling);
    std::printf("%-18s %14s %14s\n", "type", "encode GB/s", "decode GB/s");
  }
  for (const Preset& preset : presets()) {
    const std::string name(preset.name);
    if (!o.types.empty() && std::ranges::find(o.types, name) == o.types.end()) continue;
    const Weight weight = encode(values, preset.scheme, name, &pool);
    const double encoded = gigabytes_a_second(pool, bytes, [&] { (void)encode(values, preset.scheme, name, &pool); });
    const double decoded = gigabytes_a_second(pool, bytes, [&] { decode_into(weight, copy, &pool); });
    out["types"][name] = {{"encode", encoded}, {"decode", decoded}};
    if (!o.json) std::printf("%-18s %14.2f %14.2f\n", name.c_str(), encoded, decoded);
  }
  if (o.json) std::printf("%s\n", out.dump(2).c_str());
  return 0;
}
