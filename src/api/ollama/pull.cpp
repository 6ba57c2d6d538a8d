#include "api/ollama/pull.h"

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "api/ollama/chat_writer.h"
#include "api/ollama/models.h"

namespace hearth::api::ollama {
namespace {

constexpr std::size_t kDigestShown = 12;

// The words that Ollama has for it.
std::string status_of(const hub::PullState& state) {
  switch (state.step) {
    case hub::PullStep::kAsking: return "pulling manifest";
    case hub::PullStep::kFetching:
      return "pulling " + (state.sha256.empty() ? state.file : state.sha256.substr(0, kDigestShown));
    case hub::PullStep::kVerified: return "verifying sha256 digest";
    case hub::PullStep::kListing: return "writing manifest";
    default: return "success";
  }
}

}  // namespace

std::expected<PullRequest, ApiError> parse_pull(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  PullRequest request;
  HEARTH_TRY(request.model, named_model(object));
  if (const auto stream = member(object, "stream")) {
    HEARTH_TRY(request.stream, as_bool("stream", *stream));
  }
  return request;
}

std::string render_pull(const hub::PullState& state) {
  if (state.error) return ollama::render_error(api_error(*state.error));
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("status").value(status_of(state));
  if (state.step == hub::PullStep::kFetching) {
    if (!state.sha256.empty()) json.key("digest").value("sha256:" + state.sha256);
    json.key("total").value(state.total).key("completed").value(state.completed);
  }
  if (!state.model.empty()) {
    json.key("hearth").begin_object().key("model").value(state.model);
    if (!state.problem.empty()) json.key("problem").value(state.problem);
    json.end_object();
  }
  json.end_object();
  return out;
}

}  // namespace hearth::api::ollama
