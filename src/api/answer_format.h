// What an answer may be, as clients ask for it.
//
//   response_format      OpenAI's: {"type": "text" | "json_object" | "json_schema", ...};
//                        llama-server's, too: {"type": "json_object", "schema": {...}}
//   grammar, json_schema llama-server's: GBNF, a schema
//   guided_json, guided_regex, guided_choice, guided_grammar, structured_outputs
//                        vLLM's, the older names and the newer object
//   regex, ebnf          SGLang's
//
// At most one of them may ask for something.
#pragma once

#include <simdjson.h>

#include <expected>
#include <string_view>

#include "api/error_status.h"
#include "text/grammar/grammar.h"

namespace hearth::api {

// The grammar that `field` asks for with `value`; null for plain text.  Errors are of status 400
// and name the part of the field that is wrong.
std::expected<text::grammar::GrammarPtr, ApiError> parse_answer_format(
    std::string_view field, simdjson::dom::element value);

}  // namespace hearth::api
