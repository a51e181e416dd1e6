# Instruction sets by file name: *_avx2.cpp, *_avx512.cpp, *_avx512bf16.cpp, *_avx512vnni.cpp. Such files hold only code in
# anonymous namespaces behind a table of functions, so that no inline function of theirs is linked into baseline code.
set(AVX2_FLAGS -mavx2 -mfma -mf16c)
set(AVX512_FLAGS ${AVX2_FLAGS} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512
    -Wno-uninitialized -Wno-maybe-uninitialized)  # GCC 12 warns of its own _mm512_undefined_*
function(omni_isa pattern)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/${pattern})
  if(files)
    set_source_files_properties(${files} PROPERTIES COMPILE_OPTIONS "${ARGN}")
  endif()
endfunction()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  omni_isa(*_avx2.cpp ${AVX2_FLAGS} -O3)
  omni_isa(*_avx512.cpp ${AVX512_FLAGS} -O3)
  omni_isa(*_avx512bf16.cpp ${AVX512_FLAGS} -mavx512bf16 -mavx512vbmi -O3)
  omni_isa(*_avx512vnni.cpp ${AVX512_FLAGS} -mavx512vnni -mavx512vbmi -O3)
endif()
