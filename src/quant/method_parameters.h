#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace omni {

// What a key of a method's spec does here.
enum class ParameterEffect : uint8_t {
  kScheme,      // chooses the scheme
  kStorage,     // describes how the checkpoint stores its weights; the checkpoint decides, the key is noted
  kSerialized,  // true: the wish is for weights that are stored already
  kUnused,      // belongs to what is not done here: only its idle value is accepted
};

// A key that a method's spec may have besides the common ones (method, ignored_layers, requantize ...).
struct MethodParameter {
  std::string_view method, key;
  ParameterEffect effect;
  std::string_view why = "";  // kUnused: what stands in its place
};
std::span<const MethodParameter> method_parameters();  // sorted by method, then key
const MethodParameter* find_method_parameter(std::string_view method, std::string_view key);

}  // namespace omni
