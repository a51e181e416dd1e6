#include "engine/loader.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "pipelines/model_location.h"
#include "pipelines/pipeline_list.h"
#include "quant/config.h"

namespace omni {
namespace {

QuantConfig quant_config(const ModelOptions& options, const PipelineScope& scope) {
  const QuantConfigOptions wishes{.components = scope.components, .ignored_layers = options.ignored_layers};
  const std::string& asked =
      options.diffusion_quantization.empty() ? options.quantization : options.diffusion_quantization;
  return asked.empty() ? build_quant_config(nlohmann::json(), wishes) : parse_quant_config(asked, wishes);
}

// {"method": "gguf", "gguf_model": REF} says the same as --gguf-model REF.
ModelOptions with_gguf_model(ModelOptions options, const QuantConfig& config) {
  if (!config.gguf_model.empty() && !options.gguf_model.empty() && config.gguf_model != options.gguf_model) {
    throw usage_error("--gguf-model", "is '" + options.gguf_model + "', and gguf_model is '" + config.gguf_model + "'",
                      "one of the two");
  }
  if (!config.gguf_model.empty()) options.gguf_model = config.gguf_model;
  return options;
}

}  // namespace

LoadedModel load_model(const ModelOptions& asked, Exec& exec, Load load, WeightSink* sink) {
  const ModelFiles files = ModelFiles::read(find_model(asked.model));
  const PipelineEntry& kind = find_pipeline(files);
  if (kind.makes == Output::kText && !asked.diffusion_quantization.empty()) {
    throw usage_error("--diffusion-quantization-config", "is given, and " + asked.model + " has no diffusion stage",
                      "--quantization or --quantization-config");
  }
  const PipelineScope scope = kind.scope();
  QuantConfig config = quant_config(asked, scope);
  const ModelOptions options = with_gguf_model(asked, config);
  QuantPlan plan(std::move(config), scope);

  LoadedModel model;
  LoadContext context{.exec = &exec,
                      .plan = &plan,
                      .ledger = &model.ledger,
                      .mode = LoadMode::kPlan,
                      .strict = options.strict ? Strict::kYes : Strict::kNo,
                      .check_values = load == Load::kPlan,
                      .sink = sink};
  std::optional<PackCache> cache;
  if (load != Load::kPlan) {
    for (const std::string& note : plan.config().notes) log_warning(note);
    // A rule that matches nothing must be known before the first weight is read.
    Ledger planned;
    context.ledger = &planned;
    (void)kind.make(options, files, context);
    plan.require_all_matched(options.allow_unmatched);
    context.ledger = &model.ledger;
    context.mode = load == Load::kExport ? LoadMode::kExport : LoadMode::kLoad;
    if (sink != nullptr) sink->planned();
    if (!options.pack_cache.empty()) context.pack_cache = &cache.emplace(options.pack_cache);
    if (options.progress) {
      int64_t total = 0;
      for (const LedgerRow& row : planned.rows) total += row.kernel.empty() ? 0 : row.bytes_stored;
      context.progress = [&options, total](int64_t done) { options.progress(done, total); };
    }
  }
  model.pipeline = kind.make(options, files, context);
  if (cache) {
    model.ledger.cache_hits = cache->hits();
    model.ledger.cache_misses = cache->misses();
  }
  if (load == Load::kPlan) {
    try {
      plan.require_all_matched(options.allow_unmatched);
    } catch (const Error& e) {
      model.refusal = e;
    }
  }
  model.unmatched = plan.unmatched();
  model.notes = plan.config().notes;
  return model;
}

}  // namespace omni
