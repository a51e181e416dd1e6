#pragma once
#include <memory>
#include <optional>

#include "base/error.h"
#include "nn/ledger.h"
#include "nn/weight_sink.h"
#include "omni/engine.h"
#include "pipelines/pipeline.h"
#include "quant/plan.h"

namespace omni {

struct LoadedModel {
  std::unique_ptr<Pipeline> pipeline;  // must not be stepped when it was only planned
  Ledger ledger;
  std::vector<std::string> unmatched;  // rules that matched no weight
  std::vector<std::string> notes;      // keys of the request that have no effect here
  std::optional<Error> refusal;        // only planned: why the plan, complete as it is, must not be carried out
};

// Finds, plans and loads (or only plans) the model that options name: the one place where a request for a model becomes
// layers. Throws Error.
enum class Load { kPlan, kWeights, kExport };
// sink: kExport only, where the weights go; the pipeline is then only planned.
LoadedModel load_model(const ModelOptions& options, Exec& exec, Load load, WeightSink* sink = nullptr);

}  // namespace omni
