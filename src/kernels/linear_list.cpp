#include <array>

#include "base/error.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/linear.h"
#include "kernels/reference/linear_reference.h"

namespace omni {

std::span<const LinearKernel* const> linear_kernels() {
  static const std::array kernels = {
      &cpu::linear_int8_int8_avx512vnni(), &cpu::linear_panel_bf16_avx512bf16(), &cpu::linear_int8_int8_avx2(),
      &cpu::linear_panel_f32_avx512(),     &cpu::linear_panel_f32_avx2(),        &reference::linear_reference(),
  };
  return kernels;
}

KernelChoice find_linear_kernel(const LinearProblem& problem) {
  KernelChoice choice;
  for (const LinearKernel* kernel : linear_kernels()) {
    const Verdict verdict = kernel->supports(problem);
    if (verdict.ok) {
      choice.kernel = kernel;
      return choice;
    }
    choice.refusals.push_back(std::string(kernel->name()) + ": " + verdict.why);
  }
  return choice;
}

KernelChoice choose_linear_kernel(const LinearProblem& problem, std::string_view where) {
  KernelChoice choice = find_linear_kernel(problem);
  if (choice.kernel != nullptr) return choice;
  std::string all;
  for (const std::string& refusal : choice.refusals) all += (all.empty() ? "" : "; ") + refusal;
  throw Error(std::string(where),
              "no kernel multiplies " + problem.scheme.text() + " weights [" + std::to_string(problem.n) + ", " +
                  std::to_string(problem.k) + "] (" + all + ")",
              "a scheme listed by `omni methods`");
}

}  // namespace omni
