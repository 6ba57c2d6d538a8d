#include "api/hearth/policy_report.h"

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "api/openai/request.h"
#include "hub/privacy_sources.h"

namespace hearth::api::hearth {
namespace {

void write_verdict(JsonWriter& json, const privacy::Verdict& verdict) {
  json.key("class").value(privacy::class_name(verdict.gives));
  json.key("rule").value(verdict.rule).key("action").value(privacy::action_name(verdict.action));
}

// What the body says beside the chat.
struct Circumstances {
  std::string provider;
  std::vector<std::string> headers;
};

Parsed<std::vector<std::string>> read_headers(dom::element value) {
  HEARTH_TRY(const dom::object object, as_object("headers", value));
  if (object.size() > kExplainedHeadersMax) return too_many("headers", kExplainedHeadersMax, object.size());
  std::vector<std::string> headers;
  for (const auto& [name, text] : object) {
    HEARTH_TRY(const std::string_view said, as_string(at("headers", name), text));
    headers.push_back(hub::header_text(name, said));
  }
  return headers;
}

Parsed<Circumstances> read_circumstances(std::string_view body) {
  return with_parser(body.size(), [&](dom::parser& parser) -> Parsed<Circumstances> {
    HEARTH_TRY(const dom::object object, parse_body(parser, body));
    Circumstances read;
    HEARTH_TRY_VOID(set_optional_text(read.provider, "", object, "provider"));
    if (const auto headers = member(object, "headers")) {
      HEARTH_TRY(read.headers, read_headers(*headers));
    }
    return read;
  });
}

}  // namespace

Parsed<std::string> explain_policy(const hub::PrivacyGate& gate, std::string_view absent_provider, std::string_view body) {
  HEARTH_TRY(Circumstances circumstances, read_circumstances(body));
  HEARTH_TRY(auto request, openai::parse_request(openai::Endpoint::kChat, body));
  request.chat.headers = std::move(circumstances.headers);
  const std::string_view provider = circumstances.provider.empty() ? absent_provider : circumstances.provider;
  return render_explanation(hub::explain_policy(gate, request.chat, provider), provider);
}

std::string render_explanation(const hub::PolicyExplanation& explanation, std::string_view provider) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("provider").value(provider);
  write_verdict(json, explanation.whole);
  json.key("sources").begin_array();
  for (const hub::ExplainedSource& one : explanation.sources) {
    json.begin_object().key("role").value(one.source.role).key("tool").value(one.source.tool);
    json.key("paths").begin_array();
    for (const std::string& path : one.source.paths) json.value(path);
    json.end_array();
    write_verdict(json, one.verdict);
    json.key("found").begin_object();
    for (const auto& [type, n] : one.found) json.key(type).value(n);
    json.end_object().end_object();
  }
  json.end_array().end_object();
  return out;
}

}  // namespace hearth::api::hearth
