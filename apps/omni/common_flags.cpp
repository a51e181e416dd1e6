#include "common_flags.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"

namespace omni::cli {

void CommonFlags::add_to(CLI::App& app) {
  app.add_option("MODEL", model, "a diffusers folder, or a bundled model (mini-flux)")->required();
  app.add_option("--quantization", quantization, "a method or scheme: fp8, int8, q4_k, int4/g128, none ...");
  app.add_option("--quantization-config", quantization_config,
                 "JSON, or @FILE: a component map, rules, a method with parameters");
  app.add_option("--diffusion-quantization-config", diffusion_quantization_config,
                 "a method, JSON or @FILE for a model with diffusion stages; not beside the two above");
  app.add_option("--ignored-layers", ignored_layers, "layers that stay as stored: names or patterns, comma-separated");
  app.add_option("--gguf-model", gguf_model,
                 "GGUF with the main component's weights: FILE.gguf, FOLDER:QUANT or OWNER/NAME:QUANT");
  app.add_option("--pack-cache", pack_cache,
                 "a folder that keeps quantized weights, so that the next start need not quantize");
  app.add_option("--component", components,
                 "NAME=PATH: this component's weights from another file or folder; once a component")
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--dtype", dtype, "compute type of linear inputs: auto (bf16), bf16, f32");
  app.add_option("--device", device, "auto, cpu");
  app.add_option("--threads", threads, "threads; 0 means every CPU this process may use");
  app.add_option("--load-format", load_format, "auto, or dummy: seeded random weights of the configs' shapes");
  app.add_flag("--strict", strict, "a fallback to a slower road is an error");
  app.add_flag("--allow-unmatched", allow_unmatched, "a rule that matches no weight is a warning, not an error");
  app.add_flag("--json", json, "print one JSON document on stdout");
  app.add_flag("--quiet", quiet, "no progress, no messages but errors");
  app.add_option("--log-level", log_level, "debug, info, warning, error");
}

ModelOptions CommonFlags::options() const {
  LogLevel level = LogLevel::kInfo;
  if (quiet)
    level = LogLevel::kQuiet;
  else if (log_level == "debug")
    level = LogLevel::kDebug;
  else if (log_level == "warning")
    level = LogLevel::kWarning;
  else if (log_level == "error")
    level = LogLevel::kError;
  else if (log_level != "info")
    throw usage_error("--log-level", "is '" + log_level + "'", "debug, info, warning or error");
  set_log_level(level);

  ModelOptions o;
  o.model = model;
  const auto alone = [](const char* flag, const std::string& value, const char* other, const std::string& beside) {
    if (!value.empty() && !beside.empty())
      throw usage_error(flag, std::string("stands beside ") + other, "one of the two");
  };
  alone("--quantization-config", quantization_config, "--quantization", quantization);
  alone("--diffusion-quantization-config", diffusion_quantization_config, "--quantization", quantization);
  alone("--diffusion-quantization-config", diffusion_quantization_config, "--quantization-config", quantization_config);
  const auto text = [](const std::string& value) {
    return value.starts_with('@') ? read_file(value.substr(1), size_t{1} << 20) : value;
  };
  o.quantization = quantization_config.empty() ? quantization : text(quantization_config);
  o.diffusion_quantization = text(diffusion_quantization_config);
  o.ignored_layers = split_list(ignored_layers);
  if (dtype == "f32" || dtype == "float32")
    o.compute = ComputeType::kF32;
  else if (dtype != "auto" && dtype != "bf16" && dtype != "bfloat16")
    throw usage_error("--dtype", "is '" + dtype + "'", "auto, bf16 or f32");
  if (device.rfind("cuda", 0) == 0) {
    throw usage_error("--device", "is '" + device + "', and this build has no CUDA back end",
                      "cpu, or a build with -DOMNI_CUDA=ON");
  }
  if (device != "auto" && device != "cpu") throw usage_error("--device", "is '" + device + "'", "auto or cpu");
  if (load_format == "dummy")
    o.load_format = LoadFormat::kDummy;
  else if (load_format != "auto")
    throw usage_error("--load-format", "is '" + load_format + "'", "auto or dummy");
  if (threads < 0 || threads > 1024) throw usage_error("--threads", "is " + std::to_string(threads), "0 to 1024");
  o.threads = threads;
  o.gguf_model = gguf_model;
  o.pack_cache = pack_cache;
  for (const std::string& component : components) {
    const size_t equals = component.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == component.size())
      throw usage_error("--component", "is '" + component + "'", "NAME=PATH");
    o.component_files.emplace_back(component.substr(0, equals), component.substr(equals + 1));
  }
  o.strict = strict;
  o.allow_unmatched = allow_unmatched;
  return o;
}

void ImageFlags::add_to(CLI::App& app) {
  app.add_option("--width", width, "pixels; the model's own size when not given");
  app.add_option("--height", height, "pixels");
  app.add_option("--steps", steps, "denoise steps; the model's own number when not given")->check(CLI::Range(1, 1000));
  app.add_option("--guidance", guidance, "guidance scale (3.5)")->check(CLI::Range(0.0, 1000.0));
  app.add_option("--max-sequence-length", max_sequence_length, "tokens that the long text encoder reads")
      ->check(CLI::Range(1, 512));
  app.add_option("--seed", seed, "seed of the noise, as torch's CPU generator draws it");
}

ImageRequest ImageFlags::request(const std::string& prompt) const {
  ImageRequest r;
  r.prompt = prompt;
  r.width = width;
  r.height = height;
  r.steps = steps;
  if (guidance >= 0) r.guidance = static_cast<float>(guidance);
  r.seed = seed;
  r.max_sequence_length = max_sequence_length;
  return r;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == ',' && depth == 0)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  std::erase_if(parts, [](const std::string& part) { return part.empty(); });
  return parts;
}

nlohmann::json quantization_json(const std::string& wish, const Ledger& ledger) {
  nlohmann::json components = nlohmann::json::object();
  for (const ComponentTotal& t : ledger.totals()) {
    components[t.component] = {
        {"weights", t.weights},     {"quantized", t.quantized},       {"kept_sensitive", t.kept_sensitive},
        {"fallbacks", t.fallbacks}, {"bytes_stored", t.bytes_stored}, {"bytes_packed", t.bytes_packed}};
  }
  nlohmann::json out = {{"wish", wish.empty() ? nlohmann::json() : nlohmann::json(wish)}, {"components", components}};
  if (ledger.cache_hits + ledger.cache_misses > 0)
    out["pack_cache"] = {{"hits", ledger.cache_hits}, {"misses", ledger.cache_misses}};
  return out;
}

}  // namespace omni::cli
