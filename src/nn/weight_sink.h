#pragma once
#include <string>
#include <string_view>

#include "checkpoint/weight_source.h"
#include "quant/plan.h"

namespace omni {

// A weight of a linear as the plan leaves it.
struct PlannedWeight {
  std::string name;  // inside the component, without ".weight"
  int64_t rows = 0, cols = 0;
  QuantScheme scheme;  // not quantized: floats
  DType floats = DType::kNone;
  bool changed = false;  // the plan makes it another than what is stored
};

// Takes canonical weights one at a time while a model is walked to be written, not run (`omni quantize`): the walk over
// headers first tells of everything there is, then the second walk brings the values of what the sink wants.
class WeightSink {
 public:
  virtual ~WeightSink() = default;
  virtual void plan_weight(const WeightSource& source, const PlannedWeight& weight) = 0;
  // A norm, bias, table or convolution: a tensor by its full name, never quantized.
  virtual void plan_tensor(const WeightSource& source, std::string_view name, const Shape& shape) = 0;
  virtual void planned() = 0;  // between the walks
  virtual bool wants(const WeightSource& source, std::string_view name) const = 0;
  virtual void take(WeightSource& source, std::string_view name, const Weight& weight) = 0;
  virtual void take_tensor(WeightSource& source, std::string_view name, const Shape& shape) = 0;
};

}  // namespace omni
