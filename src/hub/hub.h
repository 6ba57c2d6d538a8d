// The conductor: who answers, with what, within which limits.  One request's life from
// plan to receipt.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "advisor/consent.h"
#include "base/result.h"
#include "engine/engine.h"
#include "hub/chat.h"
#include "hub/embedding.h"
#include "hub/rerank.h"

namespace hearth::hub {

enum class RequestId : std::uint64_t {};

struct ReadyModel;  // hub/prompt.h
using ReadyModelPtr = std::shared_ptr<const ReadyModel>;

// How a choice's answer ended.
struct ChoiceEnd {
  engine::FinishReason reason = engine::FinishReason::kStop;
  std::string stop_string;  // That of the request's `stop` which ended it; empty for none.
};

// Receives a request's events, one at a time, from the hub's or the engine's threads: do little,
// never block.  on_finish or on_error is the last call, exactly once.
class ChatSink {
 public:
  virtual ~ChatSink() = default;
  // A piece of choice `choice`'s answer.  `token` carries log-probabilities when they were asked
  // for.
  virtual void on_text(std::uint32_t choice, const std::string& text,
                       const engine::TokenEvent& token) = 0;
  // A piece of the choice's thinking, which is no part of its text.
  virtual void on_reasoning(std::uint32_t choice, const std::string& text) = 0;
  virtual void on_tool_call(std::uint32_t choice, const ToolCallPiece& piece) = 0;
  // What the hub is doing meanwhile, for clients that show it: "asking the adviser ...".
  virtual void on_status(const std::string& text) = 0;
  // Advice came, before the answer that weighs it: PROVIDER/NAME and its words.
  virtual void on_advice(const std::string& adviser, const std::string& text) {
    (void)adviser, (void)text;
  }
  // A call waits for consent (Hub::answer_consent), or, in a preview, would leave now.
  virtual void on_departure(const advisor::DeparturePtr& departure) { (void)departure; }
  virtual void on_choice_end(std::uint32_t choice, const ChoiceEnd& end) = 0;
  virtual void on_finish(const Usage& usage, const Receipt& receipt) = 0;
  virtual void on_error(const Error& error) = 0;
};

struct ModelEntry {
  std::string name;  // As requests name it.
  std::string path;
  std::string source;  // "embedded", "config", "ollama", "lm-studio", "llama.cpp", "huggingface".
  std::uint64_t bytes = 0;
  std::string architecture;
  std::string quantization;
  std::uint32_t n_context = 0;
  bool loaded = false;
  std::uint64_t kv_bytes_per_token = 0;  // Of keys and values, where the model is loaded.
  std::string problem;  // Why it can't run; empty if it can.
  std::string adapter;  // Of NAME@ADAPTER, listed beside its base; empty for a model by itself.
  std::string upstream;  // The server that has it; empty: it runs in this process.
  std::string place;     // Where that is: "http://127.0.0.1:11434/v1, on this machine".
  bool is_egress = false;  // What it is asked leaves this machine.
  bool is_foreign = false;  // The engine can't run it; llama-server may.
};

// Another server that answers requests.
struct UpstreamState {
  std::string name, url;
  std::string kind;         // "ollama", "llama-server", ..., "openai-compatible".
  bool is_here = false;     // Its address counts as this machine; what it runs may still be elsewhere.
  std::string circuit;      // "closed": it is asked; "open": it is left alone; "half-open": tried.
  std::string problem;      // Why it can't be asked; empty if it can, as far as is known.
  bool is_checked = false;  // It was asked; one that counts as egress is asked by requests alone.
  std::size_t n_models = 0;
  std::uint32_t n_running = 0;  // Requests.
  std::uint64_t n_requests = 0, n_failures = 0;
};

// Where a model's weights are.
enum class Residence : std::uint8_t {
  kCold,       // On the disk, or mostly: the first answer waits for it.
  kStreaming,  // Being loaded.
  kCached,     // In memory, loaded or not; the kernel may take it back.
  kPinned,     // Loaded, and kept so.
};
const char* residence_name(Residence residence);  // "cold", ...

struct ModelMemory {
  std::string name;
  Residence residence = Residence::kCold;
  std::uint64_t bytes = 0;         // Of its weights.
  std::uint64_t cached_bytes = 0;  // Of these, in the page cache.
  std::uint64_t ready_bytes = 0;   // Brought in for this hub, and counted by the budget,
  std::uint64_t wanted_bytes = 0;  // and still being read.
  std::uint64_t mapped_bytes = 0;      // In this process's page tables, as the kernel says;
  std::uint64_t large_page_bytes = 0;  // of these, by large pages.
  bool is_loaded = false;
  std::uint32_t n_leases = 0;  // Requests and sessions that hold it.
  std::uint64_t n_uses = 0;    // Since it was loaded.
  double load_ms = 0;          // That loading it took, without reading its weights.
  double waited_ms = 0;        // That answers waited for its weights so far.
};

// Prefixes on disk, and what came of them since the start.
struct SnapshotReport {
  std::uint64_t files = 0, bytes = 0;
  std::uint64_t restores = 0, restored_tokens = 0;
};

struct MemoryReport {
  std::uint64_t bytes_max = 0;   // Budget of loaded weights.
  std::uint64_t bytes_used = 0;  // By those that are loaded, encoders among them.
  // Weights that were read for requests; ahead of them; and of these, given back before one came.
  std::uint64_t read_bytes = 0, guessed_bytes = 0, wasted_bytes = 0;
  std::uint64_t guesses = 0, guess_hits = 0;  // Which model comes next: said, and right.
  std::vector<ModelMemory> models;
  SnapshotReport snapshots;
};

struct HubStats {
  engine::EngineStats engine;
  std::uint64_t requests = 0, answered = 0, failed = 0, cancelled = 0, advised = 0;
  std::uint64_t bytes_out = 0;
  std::int64_t cost_usd_micro = 0;
};

// Threading: all members may be called from any thread.
class Hub {
 public:
  virtual ~Hub() = default;  // Cancels what runs; every sink gets its last call first.

  // Plans and admits; the answer arrives at the sink.  kNotFound: no such model (the message names
  // those that there are); kInvalidArgument; kUnavailable: queue full or shutting down.
  virtual Result<RequestId> chat(ChatRequest request, std::shared_ptr<ChatSink> sink) = 0;
  // Embeds texts with an encoder of the catalogue; the answer arrives at `done`.  kNotFound: no
  // such model; kInvalidArgument: not an encoder, or too many texts; kUnavailable: queue full or
  // shutting down.  Nothing of it is advised; what is answered has a receipt.
  virtual Result<> embed(EmbeddingRequest request, EmbeddingDone done) = 0;
  // Scores documents against a query with an encoder that ranks; otherwise as embed().
  virtual Result<> rerank(RerankRequest request, RerankDone done) = 0;
  virtual void cancel(RequestId request) = 0;  // No effect on one that has ended.

  // The calls that wait for this client's consent, oldest first.
  virtual std::vector<advisor::DeparturePtr> consents(std::string_view client) const { return (void)client, std::vector<advisor::DeparturePtr>(); }
  // Lets a call of this client's leave, or not; `is_remembered`: and all that the same rule asks about
  // from then on.  kNotFound: none of this client's waits under that id.
  virtual Result<> answer_consent(std::string_view id, std::string_view client, bool is_allowed, bool is_remembered) {
    (void)client, (void)is_allowed, (void)is_remembered;
    return fail(Code::kNotFound, "no call waits for the consent '" + std::string(id) + "'");
  }

  virtual std::vector<ModelEntry> models() const = 0;
  // Looks for models again, and returns when models() and names know what is there now.
  virtual void refresh_models() {}
  // The model that requests of that name get, loaded: its vocabulary and template.  Blocks while it is loaded.
  // kNotFound; kUnsupported: another server has it; else what loading it says.
  virtual Result<ReadyModelPtr> ready_model(const std::string& name) {
    return fail(Code::kUnsupported, "this hub shows nothing of the model '" + name + "'");
  }
  virtual HubStats stats() const = 0;
  virtual MemoryReport memory() { return {}; }
  // Lets go of a model that is loaded; the next request for it loads it again.  kNotFound: no such model;
  // kPermissionDenied: it is pinned; kUnavailable: it is answering.
  virtual Result<> unload(const std::string& model) {
    return fail(Code::kUnsupported, "this hub can't unload '" + model + "'");
  }
  // Keeps a loaded model in memory, or no longer: until the hub ends, whatever the configuration says.
  // kNotFound: no such model; kUnavailable: it is not loaded.
  virtual Result<> set_pinned(const std::string& model, bool is_pinned) {
    return fail(Code::kUnsupported, std::string("this hub can't ") + (is_pinned ? "pin '" : "unpin '") + model + "'");
  }
  virtual std::vector<UpstreamState> upstreams() const { return {}; }
  // kUnavailable if the conductor's or the engine's loop has not moved in time although it had
  // work: each call leaves a probe behind that the next ones judge, so it never waits.
  virtual Result<> health() = 0;
  // No new requests; what runs may finish until the deadline, then is cancelled.
  virtual void shutdown(std::chrono::milliseconds grace) = 0;
};

}  // namespace hearth::hub
