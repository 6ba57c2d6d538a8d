#include "api/error_status.h"

#include <algorithm>
#include <array>
#include <string>

#include "api/json_writer.h"

namespace hearth::api {
namespace {

constexpr unsigned kRetryAfterS = 1;

struct CodeRow {
  Code code;
  unsigned status;
  const char* type;
  const char* name;  // The error's `code`.
  bool retry;
};

// Why these: OpenAI's clients retry 408, 409, 429 and all of 5xx by themselves, so a failure that would
// only repeat (kUnsupported) must not be a 501.  kCancelled reaches a client only when the server
// stops: one that left reads nothing.
constexpr auto kCodeRows = std::to_array<CodeRow>({
    {Code::kInvalidArgument, 400, "invalid_request_error", "invalid_value", false},
    {Code::kNotFound, 404, "invalid_request_error", "not_found", false},
    {Code::kPermissionDenied, 403, "permission_error", "permission_denied", false},
    {Code::kUnsupported, 400, "invalid_request_error", "unsupported", false},
    {Code::kUnavailable, 503, "server_error", "unavailable", true},
    {Code::kOutOfBudget, 429, "rate_limit_error", "out_of_budget", true},
    {Code::kCancelled, 503, "server_error", "cancelled", true},
    {Code::kCorrupt, 500, "server_error", "corrupt", false},
    {Code::kInternal, 500, "server_error", "internal", false},
});

struct StatusRow {
  unsigned status;
  const char* type;
  const char* name;
  bool retry;
};

constexpr auto kStatusRows = std::to_array<StatusRow>({
    {401, "invalid_request_error", "invalid_api_key", false},
    {403, "permission_error", "permission_denied", false},
    {404, "invalid_request_error", "unknown_url", false},
    {405, "invalid_request_error", "method_not_supported", false},
    {408, "server_error", "request_timeout", false},
    {413, "invalid_request_error", "request_too_large", false},
    {415, "invalid_request_error", "unsupported_content_encoding", false},
    {431, "invalid_request_error", "headers_too_large", false},
    {500, "server_error", "internal", false},
    {503, "server_error", "overloaded", true},
});

// The words by which clients (pi among them) know an overflow; the engine's message carries them.
constexpr std::string_view kOverflowWords = "exceeds the available context size";

}  // namespace

ApiError api_error(const Error& error) {
  const auto* row = std::ranges::find(kCodeRows, error.code, &CodeRow::code);
  HEARTH_CHECK(row != kCodeRows.end());
  ApiError e{.status = row->status, .message = error.message, .type = row->type, .code = row->name};
  if (row->retry) e.retry_after_s = kRetryAfterS;
  if (error.code == Code::kInvalidArgument && error.message.find(kOverflowWords) != std::string::npos) {
    e.code = "context_length_exceeded";
    e.param = "messages";
  }
  if (error.code == Code::kNotFound && error.message.find("model") != std::string::npos) {
    e.code = "model_not_found";
    e.param = "model";
  }
  return e;
}

ApiError api_error(unsigned status, std::string_view message) {
  ApiError e{.status = status, .message = std::string(message)};
  const auto* row = std::ranges::find(kStatusRows, status, &StatusRow::status);
  if (row == kStatusRows.end()) return e;
  e.type = row->type;
  e.code = row->name;
  if (row->retry) e.retry_after_s = kRetryAfterS;
  return e;
}

std::string render_error(const ApiError& error) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("error").begin_object();
  json.key("message").value(error.message);
  json.key("type").value(error.type);
  json.key("param").value_or_null(error.param);
  json.key("code").value_or_null(error.code);
  json.end_object().end_object();
  return out;
}

}  // namespace hearth::api
