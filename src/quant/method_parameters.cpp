#include "quant/method_parameters.h"

#include <array>

namespace omni {
namespace {

using Effect = ParameterEffect;

constexpr std::string_view kNo4BitInputs =
    "inputs are not quantized to 4 bits here, so there is nothing to fall back from";
constexpr std::array kParameters = {
    MethodParameter{"awq", "bits", Effect::kStorage},
    MethodParameter{"awq", "group_size", Effect::kStorage},
    MethodParameter{"awq", "version", Effect::kStorage},
    MethodParameter{"awq", "zero_point", Effect::kStorage},
    MethodParameter{"bitsandbytes", "compress_statistics", Effect::kStorage},
    MethodParameter{"bitsandbytes", "llm_int8_skip_modules", Effect::kScheme},
    MethodParameter{"bitsandbytes", "quant_type", Effect::kScheme},
    MethodParameter{"compressed-tensors", "config_groups", Effect::kStorage},
    MethodParameter{"compressed-tensors", "format", Effect::kStorage},
    MethodParameter{"compressed-tensors", "kv_cache_scheme", Effect::kStorage},
    MethodParameter{"compressed-tensors", "quantization_status", Effect::kStorage},
    MethodParameter{"fp8", "activation_scheme", Effect::kScheme},
    MethodParameter{"fp8", "is_checkpoint_fp8_serialized", Effect::kSerialized},
    MethodParameter{"fp8", "weight_block_size", Effect::kScheme},
    MethodParameter{"fp8_per_block", "activation_scheme", Effect::kScheme},
    MethodParameter{"fp8_per_channel", "activation_scheme", Effect::kScheme},
    MethodParameter{"fp8_per_tensor", "activation_scheme", Effect::kScheme},
    MethodParameter{"gguf", "gguf_model", Effect::kScheme},
    MethodParameter{"gguf", "type", Effect::kScheme},
    MethodParameter{"gguf", "unquantized_modules", Effect::kScheme},
    MethodParameter{"gptq", "bits", Effect::kStorage},
    MethodParameter{"gptq", "checkpoint_format", Effect::kStorage},
    MethodParameter{"gptq", "desc_act", Effect::kStorage},
    MethodParameter{"gptq", "group_size", Effect::kStorage},
    MethodParameter{"gptq", "lm_head", Effect::kStorage},
    MethodParameter{"gptq", "sym", Effect::kStorage},
    MethodParameter{"inc", "bits", Effect::kStorage},
    MethodParameter{"inc", "block_name_to_quantize", Effect::kStorage},
    MethodParameter{"inc", "data_type", Effect::kStorage},
    MethodParameter{"inc", "extra_config", Effect::kStorage},
    MethodParameter{"inc", "group_size", Effect::kStorage},
    MethodParameter{"inc", "packing_format", Effect::kStorage},
    MethodParameter{"inc", "sym", Effect::kStorage},
    MethodParameter{"inc", "weight_bits", Effect::kStorage},
    MethodParameter{"int4", "bits", Effect::kScheme},
    MethodParameter{"int4", "group_size", Effect::kScheme},
    MethodParameter{"int4", "sym", Effect::kScheme},
    MethodParameter{"int8", "activation_scheme", Effect::kScheme},
    MethodParameter{"int8", "bits", Effect::kScheme},
    MethodParameter{"int8", "is_checkpoint_int8_serialized", Effect::kSerialized},
    MethodParameter{"int8_convrot", "layer_configs", Effect::kStorage},
    MethodParameter{"modelopt", "kv_cache_quant_algo", Effect::kStorage},
    MethodParameter{"modelopt", "quant_algo", Effect::kScheme},
    MethodParameter{"modelopt_fp4", "group_size", Effect::kStorage},
    MethodParameter{"modelopt_fp4", "kv_cache_quant_algo", Effect::kStorage},
    MethodParameter{"modelopt_fp4", "quant_algo", Effect::kScheme},
    MethodParameter{"modelopt_mixed", "kv_cache_quant_algo", Effect::kStorage},
    MethodParameter{"modelopt_mixed", "quant_algo", Effect::kScheme},
    MethodParameter{"modelopt_mxfp8", "quant_algo", Effect::kScheme},
    MethodParameter{"mxfp4", "is_checkpoint_mxfp4_serialized", Effect::kSerialized},
    MethodParameter{"mxfp4", "mxfp4_scale_alg", Effect::kUnused, "scales are the best of three powers of two"},
    MethodParameter{"mxfp4", "require_smooth_scale", Effect::kUnused,
                    "the checkpoint says whether it has smooth scales"},
    MethodParameter{"mxfp4", "w4a8_fallback_layers", Effect::kUnused, kNo4BitInputs},
    MethodParameter{"mxfp4", "w4a8_fallback_steps", Effect::kUnused, kNo4BitInputs},
    MethodParameter{"mxfp8", "is_checkpoint_mxfp8_serialized", Effect::kSerialized},
    MethodParameter{"svdquant", "act_unsigned", Effect::kStorage},
    MethodParameter{"svdquant", "activation_bits", Effect::kStorage},
    MethodParameter{"svdquant", "precision", Effect::kStorage},
    MethodParameter{"svdquant", "rank", Effect::kStorage},
    MethodParameter{"torchao", "quant_type", Effect::kStorage},
    MethodParameter{"w4a16", "bits", Effect::kScheme},
    MethodParameter{"w4a16", "group_size", Effect::kScheme},
    MethodParameter{"w4a16", "sym", Effect::kScheme},
};

}  // namespace

std::span<const MethodParameter> method_parameters() {
  return kParameters;
}

const MethodParameter* find_method_parameter(std::string_view method, std::string_view key) {
  for (const MethodParameter& parameter : kParameters) {
    if (parameter.method == method && parameter.key == key) return &parameter;
  }
  return nullptr;
}

}  // namespace omni
