// Errors as HTTP clients see them: the one table from Code to status, and the OpenAI
// shape {"error": {"message", "type", "param", "code"}}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::api {

// What goes into an error's body, and the status that goes with it.
struct ApiError {
  unsigned status = 400;
  std::string message;
  std::string type = "invalid_request_error";
  std::string param;  // Empty: null.
  std::string code;   // Empty: null.
  // When to try again; unset: do not.
  std::optional<unsigned> retry_after_s;
};

// The status, type and code of an Error.  A prompt that exceeds the context gets the code
// "context_length_exceeded", by which clients know that they must shorten it.
ApiError api_error(const Error& error);

// For what HTTP itself refuses (404, 405, 413, 503, ...), by status.
ApiError api_error(unsigned status, std::string_view message);

// {"error":{...}}
std::string render_error(const ApiError& error);

}  // namespace hearth::api
