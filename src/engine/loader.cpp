#include "engine/loader.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "pipelines/model_location.h"
#include "pipelines/text_to_image.h"
#include "quant/config.h"

namespace omni {

LoadedModel load_model(const ModelOptions& options, Exec& exec, Load load) {
  const PipelineScope scope = TextToImage::scope();
  const QuantConfigOptions wishes{.components = scope.components, .ignored_layers = options.ignored_layers};
  QuantConfig config = options.quantization.empty() ? build_quant_config(nlohmann::json(), wishes)
                                                    : parse_quant_config(options.quantization, wishes);
  FluxPipelineConfig pipeline = FluxPipelineConfig::load(find_model(options.model));
  pipeline.files = component_files(options, scope.components, scope.by_default[0]);
  QuantPlan plan(std::move(config), scope);

  LoadedModel model;
  LoadContext context{.exec = &exec,
                      .plan = &plan,
                      .ledger = &model.ledger,
                      .mode = LoadMode::kPlan,
                      .strict = options.strict ? Strict::kYes : Strict::kNo};
  if (load == Load::kWeights) {
    // A rule that matches nothing must be known before the first weight is read.
    Ledger planned;
    context.ledger = &planned;
    { const TextToImage dry(pipeline, context, options.load_format); }
    plan.require_all_matched(options.allow_unmatched);
    context.ledger = &model.ledger;
    context.mode = LoadMode::kLoad;
  }
  model.pipeline = std::make_unique<TextToImage>(pipeline, context, options.load_format);
  if (load == Load::kPlan) plan.require_all_matched(options.allow_unmatched);
  model.unmatched = plan.unmatched();
  return model;
}

}  // namespace omni
