#include "kernels/cpu/linear_run.h"

#include <cassert>
#include <cstdlib>
#include <cstring>

namespace omni::cpu {
namespace {

// Rows of x as the table reads them: unchanged, or copied to scratch, widened and padded with zeros.
struct Rows {
  const std::byte* data = nullptr;
  int64_t stride = 0;  // bytes
};

void copy_row(const std::byte* from, DType storage, int64_t k, bool widen, std::byte* to, int64_t bytes) {
  const int64_t used = (widen ? 2 : 1) * storage_bytes(storage, k);
  std::memset(to + used, 0, static_cast<size_t>(bytes - used));
  if (!widen) {
    std::memcpy(to, from, static_cast<size_t>(used));
    return;
  }
  const auto* codes = reinterpret_cast<const int8_t*>(from);
  auto* wide = reinterpret_cast<int16_t*>(to);
  for (int64_t i = 0; i < k; ++i) wide[i] = codes[i];
}

Rows prepare_rows(Exec& exec, const GemmTable& table, const Tensor& values, int64_t k) {
  const DType storage = values.dtype();
  const int64_t stride = storage_bytes(storage, values.row_stride());
  const bool widen = storage == DType::kI8;
  if (!widen && k % table.step == 0) return {values.raw(), stride};
  const int64_t padded = (k + table.step - 1) / table.step * table.step;
  const int64_t bytes = (widen ? 2 : 1) * storage_bytes(storage, padded);
  const Tensor copy = exec.scratch.tensor(DType::kU8, Shape{values.rows(), bytes});
  constexpr int64_t kRowsPerChunk = 16;
  const int64_t rows = values.rows();
  exec.pool->parallel_for((rows + kRowsPerChunk - 1) / kRowsPerChunk, [&](int64_t chunk, int) {
    for (int64_t row = chunk * kRowsPerChunk; row < rows && row < (chunk + 1) * kRowsPerChunk; ++row)
      copy_row(values.raw() + row * stride, storage, k, widen, copy.raw() + row * bytes, bytes);
  });
  return {copy.raw(), bytes};
}

void set_row_scale(const Activation& x, TileOutput& out) {
  switch (x.format.quant) {
    case ActQuant::kNone:
      return;
    case ActQuant::kPerToken:
      out.row_scale = x.scales.f32();
      out.row_scale_step = 1;
      return;
    case ActQuant::kStatic:
    case ActQuant::kPerTensor:
      out.row_scale = x.scales.empty() ? &x.format.static_scale : x.scales.f32();
      return;
    case ActQuant::kPerGroup:
      break;
  }
  assert(false && "no kernel wants activations a group");
}

}  // namespace

void run_linear(Exec& exec, const GemmTable& table, const Weight& packed, const Activation& x, Tensor& y,
                const Epilogue& epilogue) {
  assert(x.values.cols() == packed.cols && y.cols() == packed.rows && y.rows() == x.values.rows());
  assert(y.dtype() == DType::kF32 || y.dtype() == DType::kBF16);
  const Scratch::Mark mark(exec.scratch);
  const Rows rows = prepare_rows(exec, table, x.values, packed.cols);
  const int64_t segment = 0;
  Gemm job{.table = &table, .a = rows.data, .width = x.values.rows(), .row_stride = rows.stride};
  job.segments = &segment;
  job.segment_steps = (packed.cols + table.step - 1) / table.step;
  job.panels = panel_view(packed);
  job.columns = packed.rows;
  set_row_scale(x, job.out);
  job.out.sums = job.panels.sums;
  job.out.bias = epilogue.bias;
  job.out.gate = epilogue.gate;
  job.out.act = epilogue.act;
  if (epilogue.residual != nullptr) {
    assert(epilogue.residual->dtype() == DType::kF32);
    job.out.residual = epilogue.residual->f32();
    job.out.residual_stride = epilogue.residual->row_stride();
  }
  job.out.y = y.raw();
  job.out.y_stride = y.row_stride();
  job.out.y_is_bf16 = y.dtype() == DType::kBF16;
  gemm(exec, job);
}

std::string why_not_available(Need need) {
  const Features& f = features();
  const char* what = "";
  bool ok = false;
  switch (need) {
    case Need::kAvx2:
      what = "AVX2";
      ok = f.isa >= Isa::kAvx2 && gemm_f32_avx2() != nullptr;
      break;
    case Need::kAvx512:
      what = "AVX-512";
      ok = f.isa >= Isa::kAvx512 && gemm_f32_avx512() != nullptr;
      break;
    case Need::kBF16:
      what = "AVX512_BF16";
      ok = f.bf16 && gemm_bf16_avx512() != nullptr;
      break;
    case Need::kVnni:
      what = "AVX512_VNNI";
      ok = f.vnni && gemm_i8_avx512() != nullptr;
      break;
  }
  if (ok) return {};
  const char* wish = std::getenv("OMNI_ISA");
  const bool lowered = wish != nullptr && *wish != '\0';
  return std::string("needs ") + what + (lowered ? " (OMNI_ISA=" + std::string(wish) + ")" : "");
}

bool is_int8_int8(const QuantScheme& scheme) {
  const Group& group = scheme.scale.group;
  const bool act =
      scheme.act == ActQuant::kPerToken || scheme.act == ActQuant::kPerTensor || scheme.act == ActQuant::kStatic;
  return scheme.codes == DType::kI8 && scheme.act_codes == DType::kI8 && act && group.cols == 0 && group.rows <= 1 &&
         scheme.zero == Zero::kNone && scheme.outer_scale.dtype == DType::kNone && scheme.low_rank == 0 &&
         scheme.rotation == 0 && !scheme.smooth && !scheme.ordered;
}

}  // namespace omni::cpu
