// Where embeddings are made and documents ranked: one thread takes requests one after another and
// computes each with all cores of its pool.
//
// It stands beside the conductor instead of in its engine: an embedding has no tokens to stream,
// no KV pages and no turns, and a request is over in milliseconds.  Encoders share the memory budget
// of all weights (store/memory_budget.h); one goes as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "hub/embedding.h"
#include "hub/rerank.h"
#include "hub/worker.h"
#include "model/encoder.h"
#include "store/catalogue.h"
#include "store/memory_budget.h"

namespace hearth::hub {

struct EmbeddingDeskOptions {
  // Of all loaded weights; null: a gigabyte for encoders alone.
  std::shared_ptr<store::MemoryBudget> budget = nullptr;
  std::uint32_t queue_max = 64;                      // Requests that wait or run.
  unsigned n_threads = 0;                            // Of the pool; 0: one per core.
};

// Threading: any thread.  Destruction cancels what waits and runs, each with its last call.
class EmbeddingDesk {
 public:
  explicit EmbeddingDesk(EmbeddingDeskOptions options);
  ~EmbeddingDesk();
  EmbeddingDesk(const EmbeddingDesk&) = delete;
  EmbeddingDesk& operator=(const EmbeddingDesk&) = delete;

  // Queues the request for the encoder of `entry`; its result comes to `done`.  Without a queue
  // place kUnavailable, for another kind of model or too many texts kInvalidArgument, and `done` is
  // not called.
  Result<> submit(store::CatalogueEntry entry, EmbeddingRequest request, EmbeddingDone done);

  // The same for documents to be ranked.
  Result<> submit(store::CatalogueEntry entry, RerankRequest request, RerankDone done);

  // Whether the encoder of this file is loaded.
  bool is_loaded(const std::string& path) const;

 private:
  class ResidentEncoder;
  struct Slot {
    std::string path;
    std::uint64_t file_bytes = 0;
    std::shared_ptr<ResidentEncoder> resident;
    double load_ms = 0;
  };

  Result<> enqueue(std::function<void()> work);
  void leave_queue();
  Result<> check_open(const std::stop_token& stop) const;
  Result<Embeddings> embed(const store::CatalogueEntry& entry, const EmbeddingRequest& request);
  Result<Ranking> rank(const store::CatalogueEntry& entry, const RerankRequest& request);
  Result<std::shared_ptr<const model::Encoder>> encoder_of(const store::CatalogueEntry& entry);
  std::shared_ptr<const model::Encoder> find(const store::CatalogueEntry& entry);
  void keep(const store::CatalogueEntry& entry, std::shared_ptr<const model::Encoder> encoder,
            double load_ms);

  const EmbeddingDeskOptions options_;
  const std::shared_ptr<store::MemoryBudget> budget_;
  std::unique_ptr<ThreadPool> pool_;  // The worker's; made when it is first needed.
  std::stop_source closing_;

  mutable std::mutex mutex_;  // Guards what follows.
  std::uint32_t n_queued_ = 0;
  std::list<Slot> loaded_;  // Most recently used first.

  std::unique_ptr<Worker> worker_ = std::make_unique<Worker>();  // Last: it uses all of the above.
};

}  // namespace hearth::hub
