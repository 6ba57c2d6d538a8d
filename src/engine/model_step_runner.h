// A StepRunner over a loaded model and the CPU's forward pass.
#pragma once

#include <memory>

#include "base/thread_pool.h"
#include "engine/step_runner.h"
#include "model/forward.h"
#include "model/model.h"

namespace hearth::engine {

// What all runners of one engine share.
//
// Threading: used by the engine thread alone.
struct ForwardContext {
  explicit ForwardContext(unsigned n_threads) : pool(n_threads) {}
  ThreadPool pool;
  model::ForwardScratch scratch;
};

// Holds `model`; `context` must outlive the runner.
std::shared_ptr<StepRunner> make_model_step_runner(std::shared_ptr<const model::Model> model,
                                                   ForwardContext& context);

}  // namespace hearth::engine
