// Ollama's /api/pull and /api/delete: what is asked, and a pull's states as lines of JSON.
//
// A line has a member more than Ollama's: the last says in `hearth` what the model is called here, and why
// it can't run if it can't.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "api/error_status.h"
#include "hub/pulls.h"

namespace hearth::api::ollama {

struct PullRequest {
  std::string model;
  bool stream = true;
};

// Threading: any thread.  `insecure`, and a user name and password, are skipped.
std::expected<PullRequest, ApiError> parse_pull(std::string_view body);

// {"status":"pulling 0123456789ab","digest":"sha256:...","total":9,"completed":3}, without a line's end;
// {"error":"..."} for a pull that failed.
std::string render_pull(const hub::PullState& state);

}  // namespace hearth::api::ollama
