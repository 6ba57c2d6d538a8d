#include "api/memory_report.h"

#include "api/json_writer.h"

namespace hearth::api {

std::string render_memory(const hub::MemoryReport& report,
                          std::span<const hub::UpstreamState> upstreams) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("bytes_max").value(report.bytes_max);
  json.key("bytes_used").value(report.bytes_used);
  json.key("read_bytes").value(report.read_bytes);
  json.key("guesses").value(report.guesses);
  json.key("guess_hits").value(report.guess_hits);
  json.key("guessed_bytes").value(report.guessed_bytes);
  json.key("wasted_bytes").value(report.wasted_bytes);
  json.key("models").begin_array();
  for (const hub::ModelMemory& model : report.models) {
    json.begin_object();
    json.key("name").value(model.name);
    json.key("state").value(hub::residence_name(model.residence));
    json.key("bytes").value(model.bytes);
    json.key("cached_bytes").value(model.cached_bytes);
    json.key("ready_bytes").value(model.ready_bytes);
    json.key("wanted_bytes").value(model.wanted_bytes);
    json.key("mapped_bytes").value(model.mapped_bytes);
    json.key("large_page_bytes").value(model.large_page_bytes);
    json.key("waited_ms").value(model.waited_ms);
    json.key("loaded").value(model.is_loaded);
    json.key("leases").value(model.n_leases);
    json.key("uses").value(model.n_uses);
    json.key("load_ms").value(model.load_ms);
    json.end_object();
  }
  json.end_array();
  json.key("upstreams").begin_array();
  for (const hub::UpstreamState& upstream : upstreams) {
    json.begin_object();
    json.key("name").value(upstream.name);
    json.key("url").value(upstream.url);
    json.key("kind").value(upstream.kind);
    json.key("is_here").value(upstream.is_here);
    json.key("circuit").value(upstream.circuit);
    json.key("problem").value(upstream.problem);
    json.key("models").value(static_cast<std::uint64_t>(upstream.n_models));
    json.key("running").value(upstream.n_running);
    json.key("requests").value(upstream.n_requests);
    json.key("failures").value(upstream.n_failures);
    json.end_object();
  }
  json.end_array();
  json.key("snapshots").begin_object();
  json.key("files").value(report.snapshots.files);
  json.key("bytes").value(report.snapshots.bytes);
  json.key("restores").value(report.snapshots.restores);
  json.key("restored_tokens").value(report.snapshots.restored_tokens);
  json.end_object().end_object();
  return out;
}

}  // namespace hearth::api
