#pragma once
#include <string_view>

namespace omni::cpu {

// Levels of instruction sets that kernels are written for. A level includes those below it.
enum class Isa { kScalar, kAvx2, kAvx512 };

// What this process may use: the machine's features, cut down by OMNI_ISA=scalar|avx2|avx512 (read once; another value,
// or a level the machine lacks, throws a usage Error).
struct Features {
  Isa isa = Isa::kScalar;
  bool bf16 = false;  // avx512 with AVX512_BF16
  bool vnni = false;  // avx512 with AVX512_VNNI
  bool vbmi = false;  // avx512 with AVX512_VBMI
};
const Features& features();
std::string_view isa_name(Isa isa);

}  // namespace omni::cpu
