#include "omni/engine.h"

#include <chrono>
#include <deque>
#include <utility>

#include "base/error.h"
#include "engine/loader.h"

namespace omni {

struct Engine::State {
  explicit State(const ModelOptions& options) : pool(options.threads) {
    exec.pool = &pool;
    exec.compute = options.compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16;
    const auto begin = std::chrono::steady_clock::now();
    model = load_model(options, exec, Load::kWeights);
    load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  ThreadPool pool;
  Exec exec;
  LoadedModel model;
  double load_seconds = 0;
  uint64_t next_request = 1;
  std::deque<Failed> refused;  // requests the pipeline did not take
};

Engine::Engine(const ModelOptions& options) : state_(std::make_unique<State>(options)) {}
Engine::~Engine() = default;

uint64_t Engine::submit(Request request) {
  const uint64_t id = state_->next_request++;
  try {
    state_->model.pipeline->submit(id, std::move(request));
  } catch (const Error& error) {
    state_->refused.push_back({id, error.what(), error.fault() == Fault::kUsage});
  }
  return id;
}

bool Engine::step(const EventSink& sink) {
  if (!state_->refused.empty()) {
    const Failed failed = std::move(state_->refused.front());
    state_->refused.pop_front();
    sink(failed);
    return true;
  }
  return state_->model.pipeline->step(state_->exec, sink);
}

void Engine::run(const EventSink& sink) {
  while (step(sink)) {
  }
}

const Ledger& Engine::ledger() const {
  return state_->model.ledger;
}
double Engine::load_seconds() const {
  return state_->load_seconds;
}
void Engine::set_tap(Tap* tap) {
  state_->exec.tap = tap;
}

}  // namespace omni
