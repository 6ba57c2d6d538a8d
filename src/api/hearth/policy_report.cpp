#include "api/hearth/policy_report.h"

#include "api/json_writer.h"
#include "api/openai/request.h"
#include "hub/privacy_sources.h"

namespace hearth::api::hearth {
namespace {

void write_verdict(JsonWriter& json, const privacy::Verdict& verdict) {
  json.key("class").value(privacy::class_name(verdict.gives));
  json.key("rule").value(verdict.rule).key("action").value(privacy::action_name(verdict.action));
}

Parsed<std::string> provider_of(std::string_view body, std::string_view absent) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  std::string provider;
  HEARTH_TRY_VOID(set_optional_text(provider, "", object, "provider"));
  return provider.empty() ? std::string(absent) : provider;
}

}  // namespace

Parsed<std::string> explain_policy(const privacy::Policy& policy, const privacy::Redactor& redactor,
                                   std::string_view absent_provider, std::string_view body) {
  HEARTH_TRY(const std::string provider, provider_of(body, absent_provider));
  HEARTH_TRY(const auto request, openai::parse_request(openai::Endpoint::kChat, body));
  const std::vector<hub::Message>& messages = request.chat.messages;
  const privacy::Sources sources = hub::sources_of(messages);

  std::string out;
  JsonWriter json(out);
  json.begin_object().key("provider").value(provider);
  write_verdict(json, policy.judge(sources, provider));
  json.key("sources").begin_array();
  for (std::size_t i = 0; i < sources.size(); ++i) {
    privacy::Spans spans = redactor.find(messages[i].content);
    std::erase_if(spans, [&](const privacy::Span& span) { return policy.keeps(span.type); });
    json.begin_object().key("role").value(sources[i].role).key("tool").value(sources[i].tool);
    write_verdict(json, policy.judge(sources[i], provider));
    json.key("found").begin_object();
    for (const auto& [type, n] : privacy::count_types(spans)) json.key(type).value(n);
    json.end_object().end_object();
  }
  json.end_array().end_object();
  return out;
}

}  // namespace hearth::api::hearth
