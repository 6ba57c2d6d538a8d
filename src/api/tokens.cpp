#include "api/tokens.h"

#include <fmt/format.h>

#include <limits>

#include "api/chat_fields.h"
#include "api/json_writer.h"
#include "base/utf8.h"

namespace hearth::api::tokens {
namespace {

void write_piece(JsonWriter& json, const std::string& piece) {
  if (is_valid_utf8(piece)) {
    json.value(piece);
    return;
  }
  json.begin_array();
  for (const char byte : piece) json.value(static_cast<unsigned>(static_cast<unsigned char>(byte)));
  json.end_array();
}

}  // namespace

Parsed<TokenizeRequest> parse_tokenize(std::string_view body) {
  return with_parser(body.size(), [&](dom::parser& parser) -> Parsed<TokenizeRequest> {
    HEARTH_TRY(const dom::object object, parse_body(parser, body));
    TokenizeRequest request;
    HEARTH_TRY_VOID(set_optional_text(request.model, "", object, "model"));
    HEARTH_TRY_VOID(set_optional_bool(request.options.add_special, "", object, "add_special"));
    HEARTH_TRY_VOID(set_optional_bool(request.options.parse_special, "", object, "parse_special"));
    HEARTH_TRY_VOID(set_optional_bool(request.with_pieces, "", object, "with_pieces"));
    const auto content = member(object, "content");
    if (!content) return missing("content");
    HEARTH_TRY(const std::string_view text, as_string("content", *content));
    request.content = text;
    return request;
  });
}

Parsed<DetokenizeRequest> parse_detokenize(std::string_view body) {
  return with_parser(body.size(), [&](dom::parser& parser) -> Parsed<DetokenizeRequest> {
    HEARTH_TRY(const dom::object object, parse_body(parser, body));
    DetokenizeRequest request;
    HEARTH_TRY_VOID(set_optional_text(request.model, "", object, "model"));
    const auto tokens = member(object, "tokens");
    if (!tokens) return missing("tokens");
    HEARTH_TRY(const dom::array ids, as_array("tokens", *tokens));
    for (const dom::element id : ids) {
      if (request.tokens.size() == kTokensMax) return too_many("tokens", kTokensMax, kTokensMax + 1);
      const std::string param = fmt::format("tokens[{}]", request.tokens.size());
      HEARTH_TRY(const std::int64_t number, as_integer(param, id, 0, std::numeric_limits<text::TokenId>::max()));
      request.tokens.push_back(static_cast<text::TokenId>(number));
    }
    return request;
  });
}

std::string render_tokenize(const TokenizeRequest& request, const text::Tokenizer& tokenizer) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("tokens").begin_array();
  for (const text::TokenId id : tokenizer.encode(request.content, request.options)) {
    if (!request.with_pieces) {
      json.value(id);
      continue;
    }
    json.begin_object().key("id").value(id).key("piece");
    write_piece(json, tokenizer.piece(id, /*special=*/true));
    json.end_object();
  }
  json.end_array().end_object();
  return out;
}

Parsed<std::string> render_detokenize(const DetokenizeRequest& request, const text::Tokenizer& tokenizer) {
  std::string content;
  for (const text::TokenId id : request.tokens) {
    if (static_cast<std::uint32_t>(id) >= tokenizer.n_vocab()) {
      return refuse("invalid_value", "tokens",
                    fmt::format("Invalid value for 'tokens': {} is no token of '{}', whose vocabulary has {}.", id,
                                request.model, tokenizer.n_vocab()));
    }
    content += tokenizer.piece(id, /*special=*/true);
  }
  std::string out;
  JsonWriter(out).begin_object().key("content").value(content).end_object();
  return out;
}

std::string render_prompt(std::string_view prompt) {
  std::string out;
  JsonWriter(out).begin_object().key("prompt").value(prompt).end_object();
  return out;
}

}  // namespace hearth::api::tokens
