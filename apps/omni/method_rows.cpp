#include "method_rows.h"

#include <algorithm>

#include "checkpoint/encoding.h"
#include "kernels/linear.h"
#include "quant/method.h"
#include "quant/scheme.h"

namespace omni::cli {
namespace {

constexpr int64_t kSide = 3072;  // of the matrix that bits and kernels are told for

std::string inputs_text(const QuantScheme& scheme) {
  const std::string codes = scheme.act_codes == DType::kI8 ? "int8" : "fp8";
  switch (scheme.act) {
    case ActQuant::kNone:
      return "float";
    case ActQuant::kStatic:
      return codes + ", static scale";
    case ActQuant::kPerTensor:
      return codes + " per tensor";
    case ActQuant::kPerToken:
      return codes + " per token";
    case ActQuant::kPerGroup:
      return codes + " per group";
  }
  return "";
}

// linear_WEIGHTS_ACTIVATIONS_ISA: the weights part, which does not depend on the machine.
std::string kernel_of(const QuantScheme& scheme) {
  const KernelChoice choice = find_linear_kernel({.scheme = scheme, .n = kSide, .k = kSide});
  if (choice.kernel == nullptr || choice.kernel->is_reference()) return "";
  std::string name(choice.kernel->name());
  name.erase(0, name.find('_') + 1);
  return name.substr(0, name.find('_'));
}

void describe_scheme(const QuantScheme& scheme, MethodRow& row) {
  row.online = scheme.text();
  row.bits = bits_per_weight(scheme, kSide, kSide);
  row.inputs = inputs_text(scheme);
  row.cpu = kernel_of(scheme);
}

// An encoding reads the method of its own name, and those whose name begins with it ("modelopt" reads "modelopt_fp4").
std::vector<std::string> encodings_of(std::string_view method) {
  std::vector<std::string> out;
  for (const Encoding* encoding : encodings()) {
    const std::string name = fold_method(encoding->name());
    if (method == name || method.starts_with(name + "_")) out.emplace_back(encoding->name());
  }
  return out;
}

}  // namespace

std::vector<MethodRow> method_rows() {
  std::vector<MethodRow> rows;
  for (const MethodName& method : method_names()) {
    if (method.use == MethodUse::kAbsent) continue;
    MethodRow row{.name = std::string(method.name)};
    for (const std::string_view alias : method_aliases(method.name)) row.also.emplace_back(alias);
    row.encodings = encodings_of(method.name);
    if (method.use == MethodUse::kOnline) {
      describe_scheme(parse_scheme(method.text).value(), row);
      const Preset* preset = find_preset(row.online);
      row.what = preset != nullptr ? preset->what : "the scheme " + row.online;
    } else {
      row.what = "as a checkpoint stores it; for float weights: " + std::string(method.text);
    }
    rows.push_back(std::move(row));
  }
  for (const Preset& preset : presets()) {
    if (find_method(preset.name) != nullptr) continue;
    MethodRow row{.name = std::string(preset.name), .what = std::string(preset.what)};
    if (preset.name.starts_with('q')) row.also = {"gguf:" + row.name};
    describe_scheme(preset.scheme, row);
    rows.push_back(std::move(row));
  }
  std::ranges::sort(rows, {}, &MethodRow::name);
  return rows;
}

}  // namespace omni::cli
