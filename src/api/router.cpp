#include "api/router.h"

#include <algorithm>
#include <utility>

#include "api/chat_fields.h"
#include "api/json_writer.h"

namespace hearth::api::router {
namespace {

class LoadedWriter final : public WholeWriter {
 public:
  std::string whole(std::span<const Choice>, const hub::Usage&, const hub::Receipt&) const override {
    return R"({"success":true})";
  }
};

}  // namespace

std::string render_models(std::span<const hub::ModelEntry> models) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("object").value("list").key("data").begin_array();
  for (const hub::ModelEntry& model : models) {
    json.begin_object().key("id").value(model.name).key("object").value("model");
    json.key("owned_by").value(model.upstream.empty() ? "hearth" : model.upstream);
    json.key("in_cache").value(true).key("path").value(model.path);
    json.key("status").begin_object().key("value").value(model.loaded ? "loaded" : "unloaded").end_object();
    json.key("meta").begin_object().key("n_ctx").value(model.n_context).key("size").value(model.bytes).end_object();
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

std::string render_props(std::span<const hub::ModelEntry> models) {
  std::uint32_t n_context = 0;
  for (const hub::ModelEntry& model : models) n_context = std::max(n_context, model.n_context);
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("role").value("router").key("max_instances").value(models.size());
  json.key("default_generation_settings").begin_object().key("n_ctx").value(n_context).end_object();
  json.key("modalities").begin_object().key("vision").value(false).key("audio").value(false).end_object();
  json.end_object();
  return out;
}

std::expected<ChatCall, ApiError> parse_load(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  const auto name = member(object, "model");
  if (!name) return missing("model");
  ChatCall call{.make_writer = [](const AnswerMark&) { return std::make_unique<LoadedWriter>(); }};
  HEARTH_TRY_VOID(set_model(call.chat, "model", *name));
  call.chat.counts_only = true;
  return call;
}

std::expected<std::string, ApiError> parse_unload(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  const auto name = member(object, "model");
  if (!name) return missing("model");
  HEARTH_TRY(const std::string_view text, as_string("model", *name));
  return std::string(text);
}

}  // namespace hearth::api::router
