#include "checkpoint/encoding.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string>

#include "base/error.h"
#include "checkpoint/encoding_autoround.h"
#include "checkpoint/encoding_awq.h"
#include "checkpoint/encoding_bitsandbytes.h"
#include "checkpoint/encoding_compressed_tensors.h"
#include "checkpoint/encoding_convrot.h"
#include "checkpoint/encoding_fp8.h"
#include "checkpoint/encoding_gguf.h"
#include "checkpoint/encoding_gptq.h"
#include "checkpoint/encoding_modelopt.h"
#include "checkpoint/encoding_plain.h"
#include "checkpoint/encoding_quanto.h"
#include "checkpoint/encoding_svdquant.h"
#include "checkpoint/encoding_torchao.h"
#include "checkpoint/gguf.h"

namespace omni {
namespace {

// Last segments that only parts of a quantized weight have; such a tensor that no weight claims is an orphan.
constexpr std::array<std::string_view, 36> kParts = {
    "SCB",
    "_data",
    "_scale",
    "_weight_qdata",
    "_weight_scale",
    "_weight_zero_point",
    "absmax",
    "activation_scale",
    "bitsandbytes__fp4",
    "bitsandbytes__nf4",
    "g_idx",
    "input_global_scale",
    "input_scale",
    "input_zero_point",
    "nested_absmax",
    "nested_quant_map",
    "pre_quant_scale",
    "quant_map",
    "qweight",
    "qzeros",
    "scale_input",
    "scale_weight",
    "scales",
    "smooth_factor",
    "wcscales",
    "weight_format",
    "weight_g_idx",
    "weight_global_scale",
    "weight_packed",
    "weight_scale",
    "weight_scale_2",
    "weight_scale_inv",
    "weight_shape",
    "weight_zero_point",
    "wscales",
    "wtscale",
};

std::string_view last_segment(std::string_view name) {
  return name.substr(name.rfind('.') + 1);
}

// The method that a quantization_config names, under whichever key its tool uses.
std::string method_of(const JsonObject& config) {
  if (config.has("quant_method")) return config.string("quant_method");
  if (config.has("quant_algo")) return config.string("quant_algo");
  if (config.has("quantization") && config.object("quantization").has("quant_algo")) {
    return config.object("quantization").string("quant_algo");
  }
  throw Error(config.where(), "declares a quantized checkpoint without naming the method", "a key quant_method");
}

}  // namespace

std::optional<KvScales> StoredWeights::kv_scales(std::string_view) const {
  return std::nullopt;
}

Weight StoredWeights::read_rows(std::string_view name, int64_t begin, int64_t count) const {
  return slice_rows(read(name), begin, count, name);
}

std::span<const Encoding* const> encodings() {
  static const std::array list = {
      &autoround_encoding(), &awq_encoding(),   &bitsandbytes_encoding(), &compressed_tensors_encoding(),
      &fp8_encoding(),       &gguf_encoding(),  &gptq_encoding(),         &convrot_encoding(),
      &modelopt_encoding(),  &plain_encoding(), &quanto_encoding(),       &svdquant_encoding(),
      &torchao_encoding(),
  };
  return list;
}

const Encoding& find_encoding(const Checkpoint& checkpoint, const JsonObject* quantization_config) {
  std::string known;
  for (const Encoding* encoding : encodings()) {  // plain claims what no marker does
    if (encoding != &plain_encoding() && encoding->wrote(checkpoint, quantization_config)) return *encoding;
    known += (known.empty() ? "" : ", ") + std::string(encoding->name());
  }
  if (plain_encoding().wrote(checkpoint, quantization_config)) return plain_encoding();
  const std::string method = quantization_config == nullptr ? "" : method_of(*quantization_config);
  throw Error(quantization_config == nullptr ? checkpoint.where() : quantization_config->where(),
              "the checkpoint is stored by the method '" + method + "', which cannot be read",
              "one of the encodings " + known);
}

std::optional<JsonObject> find_quantization_config(const Checkpoint& checkpoint, const JsonObject& config) {
  if (as_gguf(checkpoint) != nullptr) return std::nullopt;  // its types say it; a config beside it is the source's
  if (config.has("quantization_config")) return config.object("quantization_config");
  if (config.has("compression_config")) return config.object("compression_config");  // older compressed-tensors
  if (config.has("text_config") && config.object("text_config").has("quantization_config")) {
    return config.object("text_config").object("quantization_config");
  }
  std::filesystem::path folder = checkpoint.where();
  std::error_code failed;
  if (!std::filesystem::is_directory(folder, failed)) folder = folder.parent_path();
  // ModelOpt, AutoRound, AutoGPTQ and AutoAWQ, in this order.
  for (const char* file :
       {"hf_quant_config.json", "quantization_config.json", "quantize_config.json", "quant_config.json"}) {
    if (std::filesystem::exists(folder / file, failed)) return JsonObject::load(folder / file);
  }
  return std::nullopt;
}

void check_headers(const Checkpoint& checkpoint, const StoredWeights& stored) {
  std::set<std::string, std::less<>> claimed;
  for (const std::string& name : stored.weights()) {
    std::optional<StoredWeight> weight = stored.describe(name);
    if (weight) claimed.insert(weight->tensors.begin(), weight->tensors.end());
  }
  for (const std::string& name : checkpoint.names()) {
    if (claimed.contains(name) || std::ranges::find(kParts, last_segment(name)) == kParts.end()) continue;
    throw Error(checkpoint.find(name)->file.string() + ": " + name, "belongs to no quantized weight",
                "a weight quantized as the checkpoint's metadata says, or no such tensor");
  }
}

int64_t check_values(const StoredWeights& stored) {
  int64_t count = 0;
  for (const std::string& name : stored.weights()) {
    const std::optional<StoredWeight> weight = stored.describe(name);
    if (!weight || !weight->scheme.quantized()) continue;
    (void)stored.read(name);
    ++count;
  }
  return count;
}

}  // namespace omni
