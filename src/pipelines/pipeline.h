#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "omni/engine.h"
#include "tensor/exec.h"

namespace omni {

// Stages joined into one kind of work. Owned by the engine and used by its thread only. step does one unit of work (one
// denoise step, one prompt) for one request; an Error inside becomes that request's Failed event, the others go on.
class Pipeline {
 public:
  virtual ~Pipeline() = default;
  virtual void submit(uint64_t id, Request request) = 0;     // throws Error for a request of another kind
  virtual bool step(Exec& exec, const EventSink& sink) = 0;  // false when there is nothing to do
  virtual std::vector<std::string> unread() const = 0;       // tensors of the checkpoint nobody asked for
};

}  // namespace omni
