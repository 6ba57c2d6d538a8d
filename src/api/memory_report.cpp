#include "api/memory_report.h"

#include "api/json_writer.h"

namespace hearth::api {

std::string render_memory(const hub::MemoryReport& report) {
  std::string out;
  JsonWriter json(out);
  json.begin_object();
  json.key("bytes_max").value(report.bytes_max);
  json.key("bytes_used").value(report.bytes_used);
  json.key("models").begin_array();
  for (const hub::ModelMemory& model : report.models) {
    json.begin_object();
    json.key("name").value(model.name);
    json.key("state").value(hub::residence_name(model.residence));
    json.key("bytes").value(model.bytes);
    json.key("cached_bytes").value(model.cached_bytes);
    json.key("loaded").value(model.is_loaded);
    json.key("leases").value(model.n_leases);
    json.key("uses").value(model.n_uses);
    json.key("load_ms").value(model.load_ms);
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

}  // namespace hearth::api
