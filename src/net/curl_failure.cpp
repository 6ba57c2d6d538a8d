#include "net/curl_failure.h"

namespace hearth::net {
namespace {

// Any other is kBroken.
struct FailureRow {
  CURLcode curl;
  HttpFailure failure;
};
constexpr FailureRow kFailures[] = {
    {CURLE_OK, HttpFailure::kNone},
    {CURLE_UNSUPPORTED_PROTOCOL, HttpFailure::kConnect},
    {CURLE_URL_MALFORMAT, HttpFailure::kConnect},
    {CURLE_COULDNT_RESOLVE_PROXY, HttpFailure::kConnect},
    {CURLE_COULDNT_RESOLVE_HOST, HttpFailure::kConnect},
    {CURLE_COULDNT_CONNECT, HttpFailure::kConnect},
    {CURLE_SSL_CONNECT_ERROR, HttpFailure::kConnect},
    {CURLE_PEER_FAILED_VERIFICATION, HttpFailure::kConnect},
    {CURLE_SSL_CACERT_BADFILE, HttpFailure::kConnect},
    {CURLE_PROXY, HttpFailure::kConnect},
    {CURLE_OPERATION_TIMEDOUT, HttpFailure::kTimeout},
};

}  // namespace

HttpFailure failure_of(CURLcode code) {
  for (const FailureRow& row : kFailures) {
    if (row.curl == code) return row.failure;
  }
  return HttpFailure::kBroken;
}

bool initialise_curl() {
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

}  // namespace hearth::net
