#pragma once
#include "kernels/linear.h"

namespace omni::cpu {

// The CPU's linear kernels, one file each family; linear_list.cpp orders them.
const LinearKernel& linear_int8_int8_avx512vnni();
const LinearKernel& linear_int8_int8_avx2();
const LinearKernel& linear_panel_bf16_avx512bf16();
const LinearKernel& linear_panel_f32_avx512();
const LinearKernel& linear_panel_f32_avx2();

}  // namespace omni::cpu
