#include "kernels/cpu/isa.h"

#include <cstdlib>
#include <string>

#include "base/error.h"

namespace omni::cpu {
namespace {

Features detect() {
  Features f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) f.isa = Isa::kAvx2;
  if (f.isa == Isa::kAvx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    f.isa = Isa::kAvx512;
    f.bf16 = __builtin_cpu_supports("avx512bf16");
    f.vnni = __builtin_cpu_supports("avx512vnni");
    f.vbmi = __builtin_cpu_supports("avx512vbmi");
  }
#endif
  const char* wish = std::getenv("OMNI_ISA");
  if (wish == nullptr || *wish == '\0') return f;
  const std::string text = wish;
  Isa level = Isa::kScalar;
  if (text == "avx2")
    level = Isa::kAvx2;
  else if (text == "avx512")
    level = Isa::kAvx512;
  else if (text != "scalar")
    throw usage_error("OMNI_ISA", "is '" + text + "'", "scalar, avx2 or avx512");
  if (level > f.isa) {
    throw usage_error("OMNI_ISA", "is '" + text + "', which this machine does not have",
                      "at most " + std::string(isa_name(f.isa)));
  }
  if (level < Isa::kAvx512) f = Features{.isa = level};
  return f;
}

}  // namespace

const Features& features() {
  static const Features instance = detect();
  return instance;
}

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "";
}

}  // namespace omni::cpu
