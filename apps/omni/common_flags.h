#pragma once
#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "nn/ledger.h"
#include "omni/engine.h"

namespace omni::cli {

// Flags that every command on a model takes, with the names and meanings vLLM's users know.
struct CommonFlags {
  std::string model, quantization, quantization_config, diffusion_quantization_config,
      dtype = "auto", device = "auto", load_format = "auto", log_level = "info";
  std::string pack_cache;
  std::string ignored_layers, gguf_model;
  std::vector<std::string> components;  // NAME=PATH
  int threads = 0;
  bool strict = false, allow_unmatched = false, json = false, quiet = false;

  void add_to(CLI::App& app);
  ModelOptions options() const;  // throws a usage Error; sets the log level
};

// What to paint; the same flags in generate, verify and bench.
struct ImageFlags {
  int width = 0, height = 0, steps = 0, max_sequence_length = 0;
  double guidance = -1;
  uint64_t seed = 0;

  void add_to(CLI::App& app);
  ImageRequest request(const std::string& prompt) const;
};

// "a,b,c" at commas outside of braces and brackets; empty parts are dropped.
std::vector<std::string> split_list(const std::string& text);

// The `quantization` object of --json: totals a component.
nlohmann::json quantization_json(const std::string& wish, const Ledger& ledger);

}  // namespace omni::cli
