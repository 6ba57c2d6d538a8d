#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "device/temperatures.h"

namespace hearth::server {
namespace {

enum class Kind { kCounter, kGauge };

struct Row {
  const char* name;
  Kind kind;
  const char* help;
  double value;
};

void render_head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
}

void render_row(std::string& out, const Row& row) {
  render_head(out, row.name, row.kind == Kind::kCounter ? "counter" : "gauge", row.help);
  fmt::format_to(std::back_inserter(out), "{} {}\n", row.name, row.value);
}

double as_double(std::uint64_t value) { return static_cast<double>(value); }

void render_hub(std::string& out, const hub::HubStats& s) {
  const auto& e = s.engine;
  constexpr double kMicro = 1e-6;
  const Row rows[] = {
      {"hearth_requests_total", Kind::kCounter, "Chat and completion requests.", as_double(s.requests)},
      {"hearth_answered_total", Kind::kCounter, "Requests answered.", as_double(s.answered)},
      {"hearth_failed_total", Kind::kCounter, "Requests that failed.", as_double(s.failed)},
      {"hearth_cancelled_total", Kind::kCounter, "Requests cancelled, mostly by clients that left.",
       as_double(s.cancelled)},
      {"hearth_advised_total", Kind::kCounter, "Answers finished with the adviser's advice.",
       as_double(s.advised)},
      {"hearth_bytes_out_total", Kind::kCounter, "Bytes that left this machine for advice.",
       as_double(s.bytes_out)},
      {"hearth_cost_usd_total", Kind::kCounter, "Settled cost of advice, US dollars.",
       static_cast<double>(s.cost_usd_micro) * kMicro},
      {"hearth_prompt_tokens_total", Kind::kCounter, "Prompt tokens.", as_double(e.prompt_tokens)},
      {"hearth_cached_tokens_total", Kind::kCounter, "Prompt tokens found in the prefix cache.",
       as_double(e.cached_tokens)},
      {"hearth_restored_tokens_total", Kind::kCounter, "Of these, read from disk.",
       as_double(e.restored_tokens)},
      {"hearth_snapshot_restores_total", Kind::kCounter, "Prompts of which a part was read from disk.",
       as_double(e.restores)},
      {"hearth_snapshot_files", Kind::kGauge, "Files of prefixes on disk.",
       as_double(e.snapshot_files)},
      {"hearth_snapshot_bytes", Kind::kGauge, "Bytes of prefixes on disk.",
       as_double(e.snapshot_bytes)},
      {"hearth_snapshots_written_total", Kind::kCounter, "Files of prefixes written.",
       as_double(e.snapshots_written)},
      {"hearth_snapshot_bytes_written_total", Kind::kCounter, "Bytes of prefixes written.",
       as_double(e.snapshot_bytes_written)},
      {"hearth_snapshots_evicted_total", Kind::kCounter, "Files of prefixes dropped for others.",
       as_double(e.snapshots_evicted)},
      {"hearth_snapshots_damaged_total", Kind::kCounter, "Files of prefixes found damaged, and dropped.",
       as_double(e.snapshots_damaged)},
      {"hearth_snapshots_not_written_total", Kind::kCounter,
       "Sessions not written for want of room, or of an able disk.", as_double(e.snapshots_not_written)},
      {"hearth_completion_tokens_total", Kind::kCounter, "Tokens generated.",
       as_double(e.completion_tokens)},
      {"hearth_engine_steps_total", Kind::kCounter, "Batches run.", as_double(e.steps)},
      {"hearth_preemptions_total", Kind::kCounter,
       "Times that a running job went back to the queue since pages ran out.", as_double(e.preemptions)},
      {"hearth_drafted_tokens_total", Kind::kCounter, "Tokens drafted by speculation.",
       as_double(e.drafted_tokens)},
      {"hearth_accepted_tokens_total", Kind::kCounter, "Drafted tokens that the model chose too.",
       as_double(e.accepted_tokens)},
      {"hearth_jobs_running", Kind::kGauge, "Jobs in the engine's batch.", as_double(e.jobs_running)},
      {"hearth_jobs_waiting", Kind::kGauge, "Jobs in the engine's queue.", as_double(e.jobs_waiting)},
      {"hearth_kv_pages_used", Kind::kGauge, "KV cache pages in use.", as_double(e.kv_pages_used)},
      {"hearth_kv_pages_cached", Kind::kGauge, "Of these, held by the prefix cache alone.",
       as_double(e.kv_pages_cached)},
      {"hearth_kv_bytes_used", Kind::kGauge, "KV cache bytes in use.", as_double(e.kv_bytes_used)},
      {"hearth_kv_bytes_max", Kind::kGauge, "KV cache bytes at most.", as_double(e.kv_bytes_max)},
  };
  for (const Row& row : rows) render_row(out, row);
}

// A label's value: quotes, backslashes and line ends escaped.
std::string label(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    if (c != '\n') out += c;
  }
  return out;
}

// One line for each model that is loaded or in memory.
void render_models(std::string& out, const hub::MemoryReport& m) {
  struct Figure {
    const char* name;
    const char* help;
    std::uint64_t hub::ModelMemory::* value;
  };
  constexpr Figure kFigures[] = {
      {"hearth_model_bytes", "Bytes of a model's weights.", &hub::ModelMemory::bytes},
      {"hearth_model_ready_bytes", "Of these, brought into memory.", &hub::ModelMemory::ready_bytes},
      {"hearth_model_wanted_bytes", "Of these, being read.", &hub::ModelMemory::wanted_bytes},
      {"hearth_model_cached_bytes", "Of these, in the page cache.", &hub::ModelMemory::cached_bytes},
      {"hearth_model_large_page_bytes", "Of these, mapped by large pages.",
       &hub::ModelMemory::large_page_bytes},
  };
  auto to = std::back_inserter(out);
  for (const Figure& figure : kFigures) {
    render_head(out, figure.name, "gauge", figure.help);
    for (const hub::ModelMemory& model : m.models) {
      if (!model.is_loaded && model.cached_bytes == 0) continue;
      fmt::format_to(to, "{}{{model=\"{}\",state=\"{}\"}} {}\n", figure.name, label(model.name),
                     hub::residence_name(model.residence), model.*figure.value);
    }
  }
}

void render_memory(std::string& out, const hub::MemoryReport& m) {
  const Row rows[] = {
      {"hearth_weight_bytes_used", Kind::kGauge, "Weights in memory.", as_double(m.bytes_used)},
      {"hearth_weight_bytes_max", Kind::kGauge, "Budget of weights.", as_double(m.bytes_max)},
      {"hearth_weight_read_bytes_total", Kind::kCounter, "Weights brought in for requests.",
       as_double(m.read_bytes)},
      {"hearth_weight_guessed_bytes_total", Kind::kCounter, "Weights brought in before a request.",
       as_double(m.guessed_bytes)},
      {"hearth_weight_wasted_bytes_total", Kind::kCounter, "Of these, given back before one came.",
       as_double(m.wasted_bytes)},
      {"hearth_switch_guesses_total", Kind::kCounter, "Switches of the model that were foreseen, or wrongly so.",
       as_double(m.guesses)},
      {"hearth_switch_guess_hits_total", Kind::kCounter, "Of these, rightly.", as_double(m.guess_hits)},
  };
  for (const Row& row : rows) render_row(out, row);
  render_models(out, m);
}

// A line for each sensor that the kernel tells of; none in most virtual machines.
void render_temperatures(std::string& out, std::span<const device::Temperature> all) {
  if (all.empty()) return;
  render_head(out, "hearth_temperature_celsius", "gauge", "How warm a sensor of this machine is.");
  for (const device::Temperature& one : all) {
    fmt::format_to(std::back_inserter(out), "hearth_temperature_celsius{{sensor=\"{}\"}} {}\n", label(one.sensor), one.celsius);
  }
}

void render_http(std::string& out, const net::HttpServerStats& s) {
  const Row rows[] = {
      {"hearth_http_connections", Kind::kGauge, "Connections open.", as_double(s.connections_open)},
      {"hearth_http_connections_accepted_total", Kind::kCounter, "Connections accepted.",
       as_double(s.connections_accepted)},
      {"hearth_http_connections_refused_total", Kind::kCounter, "Connections over the limit.",
       as_double(s.connections_refused)},
      {"hearth_http_requests_running", Kind::kGauge, "Requests being answered.",
       as_double(s.requests_running)},
      {"hearth_http_requests_total", Kind::kCounter, "Requests read whole.", as_double(s.requests)},
      {"hearth_http_requests_cancelled_total", Kind::kCounter, "Requests whose client left early.",
       as_double(s.requests_cancelled)},
      {"hearth_http_slow_readers_total", Kind::kCounter, "Of these, cut off for reading too slowly.",
       as_double(s.slow_readers)},
      {"hearth_http_received_bytes_total", Kind::kCounter, "Bytes received.",
       as_double(s.bytes_received)},
      {"hearth_http_sent_bytes_total", Kind::kCounter, "Bytes sent.", as_double(s.bytes_sent)},
  };
  for (const Row& row : rows) render_row(out, row);
}

void render_upstreams(std::string& out, std::span<const hub::UpstreamState> upstreams) {
  struct Family {
    const char* name;
    const char* type;
    const char* help;
    double (*value)(const hub::UpstreamState&);
  };
  constexpr Family kFamilies[] = {
      {"hearth_upstream_up", "gauge", "Whether the server can be asked, as far as is known.",
       [](const hub::UpstreamState& u) { return u.problem.empty() ? 1.0 : 0.0; }},
      {"hearth_upstream_requests_running", "gauge", "Requests that it answers.",
       [](const hub::UpstreamState& u) { return as_double(u.n_running); }},
      {"hearth_upstream_requests_total", "counter", "Calls made to it.",
       [](const hub::UpstreamState& u) { return as_double(u.n_requests); }},
      {"hearth_upstream_failures_total", "counter", "Of these, failed by the server's fault.",
       [](const hub::UpstreamState& u) { return as_double(u.n_failures); }},
  };
  if (upstreams.empty()) return;
  for (const Family& family : kFamilies) {
    render_head(out, family.name, family.type, family.help);
    for (const hub::UpstreamState& upstream : upstreams) {  // Names are letters, digits, '.', '_', '-'.
      fmt::format_to(std::back_inserter(out), "{}{{upstream=\"{}\"}} {}\n", family.name, upstream.name,
                     family.value(upstream));
    }
  }
}

}  // namespace

void Histogram::observe_ms(double ms) {
  const double seconds = std::isfinite(ms) && ms > 0 ? ms / 1e3 : 0;
  const auto bucket = std::ranges::lower_bound(kBoundsSeconds, seconds) - kBoundsSeconds.begin();
  counts_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_us_.fetch_add(static_cast<std::uint64_t>(seconds * 1e6), std::memory_order_relaxed);
}

void Histogram::render(std::string& out, std::string_view name, std::string_view help) const {
  render_head(out, name, "histogram", help);
  auto to = std::back_inserter(out);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < kBoundsSeconds.size(); ++i) {
    total += counts_[i].load(std::memory_order_relaxed);
    fmt::format_to(to, "{}_bucket{{le=\"{}\"}} {}\n", name, kBoundsSeconds[i], total);
  }
  total += counts_.back().load(std::memory_order_relaxed);
  fmt::format_to(to, "{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name, total,
                 as_double(sum_us_.load(std::memory_order_relaxed)) / 1e6);
}

void Metrics::count_response(unsigned status) {
  responses[std::min<std::size_t>(status / 100, responses.size() - 1)].fetch_add(
      1, std::memory_order_relaxed);
}

std::string render_metrics(const Metrics& metrics, const hub::HubStats& hub,
                           std::span<const hub::UpstreamState> upstreams,
                           const hub::MemoryReport& memory, const net::HttpServerStats& http) {
  std::string out;
  render_hub(out, hub);
  render_upstreams(out, upstreams);
  render_memory(out, memory);
  render_temperatures(out, device::temperatures());
  render_http(out, http);
  render_head(out, "hearth_http_responses_total", "counter", "Answers, by class of status.");
  for (std::size_t i = 1; i < metrics.responses.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "hearth_http_responses_total{{class=\"{}xx\"}} {}\n", i,
                   metrics.responses[i].load(std::memory_order_relaxed));
  }
  render_row(out, {"hearth_streams_failed_total", Kind::kCounter,
                   "Streams that ended with an error after their first piece.",
                   as_double(metrics.streams_failed.load(std::memory_order_relaxed))});
  metrics.first_token.render(out, "hearth_first_token_seconds", "Request to first visible token.");
  metrics.total.render(out, "hearth_request_seconds", "Request to end of answer.");
  return out;
}

}  // namespace hearth::server
