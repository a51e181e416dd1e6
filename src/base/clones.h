#pragma once

// Compiles a function for AVX-512, AVX2 and the baseline, chosen when the program starts. Only for loops whose results
// do not depend on the choice (no contraction, one order of sums): OMNI_ISA does not reach them. Sanitizers run before
// such choices can be made and get the baseline.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define OMNI_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define OMNI_CLONES
#endif
// What such a function calls must become part of it.
#define OMNI_INLINE [[gnu::always_inline]] inline
