#include "api/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
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

void write_modalities(JsonWriter& json) {
  json.key("modalities").begin_object().key("vision").value(false).key("audio").value(false).key("video").value(false);
  json.end_object();
}

// Clients show it, and some take a number after "b" for llama.cpp's own build.
std::string build_info(std::string_view version) { return fmt::format("hearth-{}", version); }

// What is done where a request says nothing.
void write_sampling(JsonWriter& json, const hub::ReadyModel* ready) {
  const engine::SamplingOptions sampling;
  const auto preferred = ready == nullptr ? std::nullopt : ready->model->preferred_temperature();
  json.key("params").begin_object().key("temperature").value(preferred.value_or(sampling.temperature));
  json.key("top_k").value(sampling.top_k).key("top_p").value(sampling.top_p).key("min_p").value(sampling.min_p);
  json.key("typical_p").value(sampling.typical_p).key("repeat_penalty").value(sampling.repetition_penalty);
  json.key("presence_penalty").value(sampling.presence_penalty);
  json.key("frequency_penalty").value(sampling.frequency_penalty).key("n_predict").value(-1).end_object();
}

// Tools, calls and results work with every model: what a template lacks is said in words.
void write_texts(JsonWriter& json, const hub::ReadyModel& ready) {
  const text::Tokenizer& tokenizer = ready.model->tokenizer();
  const auto text_of = [&](std::optional<text::TokenId> id) { return id ? tokenizer.token_text(*id) : std::string_view(); };
  json.key("chat_template").value(ready.model->chat_template().source());
  json.key("chat_template_caps").begin_object().key("supports_tools").value(ready.traits.takes_tools);
  json.key("supports_tool_calls").value(ready.traits.takes_calls);
  json.key("supports_object_arguments").value(!ready.traits.wants_text_arguments).end_object();
  json.key("bos_token").value(text_of(tokenizer.bos())).key("eos_token").value(text_of(tokenizer.eos()));
}

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

std::string render_props(std::span<const hub::ModelEntry> models, std::string_view version) {
  std::uint32_t n_context = 0;
  for (const hub::ModelEntry& model : models) n_context = std::max(n_context, model.n_context);
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("role").value("router").key("max_instances").value(models.size());
  json.key("models_autoload").value(true).key("build_info").value(build_info(version));
  json.key("default_generation_settings").begin_object().key("n_ctx").value(n_context).end_object();
  write_modalities(json);
  json.end_object();
  return out;
}

std::string render_model_props(const ModelProps& props) {
  const hub::ModelEntry& model = props.model;
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("default_generation_settings").begin_object();
  write_sampling(json, props.ready);
  json.key("n_ctx").value(model.n_context).end_object();
  json.key("total_slots").value(props.n_slots).key("model_alias").value(model.name);
  json.key("model_path").value(model.path).key("model_ftype").value(model.quantization);
  write_modalities(json);
  json.key("endpoint_slots").value(false).key("endpoint_props").value(false).key("endpoint_metrics").value(true);
  if (props.ready != nullptr) write_texts(json, *props.ready);
  json.key("build_info").value(build_info(props.version)).key("is_sleeping").value(props.ready == nullptr);
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
