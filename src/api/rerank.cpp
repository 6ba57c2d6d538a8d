#include "api/rerank.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "base/result.h"

namespace hearth::api::rerank {
namespace {

Parsed<std::string> read_text(dom::object body, std::string_view name) {
  const auto value = member(body, name);
  if (!value) return missing(name);
  HEARTH_TRY(const std::string_view text, as_string(name, *value));
  if (text.empty()) return missing(name);
  return std::string(text);
}

// A string, or an object with one under "text".
Parsed<std::string> read_document(std::size_t index, dom::element value) {
  const std::string path = fmt::format("documents[{}]", index);
  dom::object object;
  if (value.get_object().get(object) == simdjson::SUCCESS) {
    const auto text = member(object, "text");
    if (!text) return missing(at(path, "text"));
    value = *text;
  }
  HEARTH_TRY(const std::string_view text, as_string(path, value));
  return std::string(text);
}

Parsed<> read_documents(dom::object body, Request& request) {
  const auto value = member(body, "documents");
  if (!value) return missing("documents");
  HEARTH_TRY(const dom::array list, as_array("documents", *value));
  for (const dom::element each : list) {
    if (request.work.documents.size() == hub::kRerankDocumentsMax) {
      return too_many("documents", hub::kRerankDocumentsMax, list.size());
    }
    HEARTH_TRY(std::string text, read_document(request.work.documents.size(), each));
    request.work.documents.push_back(std::move(text));
  }
  if (!request.work.documents.empty()) return {};
  return refuse("empty_array", "documents", "Invalid 'documents': the array must not be empty.");
}

Parsed<> read_options(dom::object body, Request& request) {
  if (const auto value = member(body, "top_n")) {
    constexpr std::int64_t kMax = std::int64_t{1} << 31;
    HEARTH_TRY(const std::int64_t n, as_integer("top_n", *value, 1, kMax));
    request.top_n = static_cast<std::size_t>(n);
  }
  if (const auto value = member(body, "return_documents")) {
    HEARTH_TRY(request.returns_documents, as_bool("return_documents", *value));
  }
  return {};
}

}  // namespace

std::expected<Request, ApiError> parse(std::string_view body) {
  dom::parser parser;
  HEARTH_TRY(const dom::object object, parse_body(parser, body));
  Request request;
  HEARTH_TRY(request.work.model, read_text(object, "model"));
  if (request.work.model.size() > kModelNameBytesMax) {
    return refuse("string_above_max_length", "model",
                  fmt::format("Invalid 'model': expected at most {} bytes, but got {} instead.",
                              kModelNameBytesMax, request.work.model.size()));
  }
  HEARTH_TRY(request.work.query, read_text(object, "query"));
  HEARTH_TRY_VOID(read_documents(object, request));
  HEARTH_TRY_VOID(read_options(object, request));
  return request;
}

std::string render(const Request& request, const hub::Ranking& ranking) {
  std::vector<std::size_t> order(ranking.scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return ranking.scores[a] > ranking.scores[b]; });
  order.resize(std::min(order.size(), request.top_n.value_or(order.size())));

  std::string out;
  JsonWriter json(out);
  json.begin_object().key("model").value(request.work.model).key("object").value("list");
  json.key("usage").begin_object().key("prompt_tokens").value(ranking.prompt_tokens);
  json.key("total_tokens").value(ranking.prompt_tokens).end_object();
  json.key("results").begin_array();
  for (const std::size_t index : order) {
    json.begin_object().key("index").value(index);
    json.key("relevance_score").value(ranking.scores[index]);
    if (request.returns_documents) {
      json.key("document").begin_object().key("text").value(request.work.documents[index]);
      json.end_object();
    }
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

ApiError error_of(const Error& error) {
  ApiError made = api_error(error);
  if (error.code == Code::kInvalidArgument) {
    made.param = error.message.starts_with("document ") ? "documents" : "model";
  }
  return made;
}

}  // namespace hearth::api::rerank
