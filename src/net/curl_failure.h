// What the two users of libcurl share: set-up, and curl's codes by what a caller can do about them.
#pragma once

#include <curl/curl.h>

#include "net/http_client.h"

namespace hearth::net {

// curl's global state must be set up once, before any thread uses it.  False if it can't be.
bool initialise_curl();

HttpFailure failure_of(CURLcode code);

}  // namespace hearth::net
