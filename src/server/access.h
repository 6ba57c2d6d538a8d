// Who may talk to the hub.
//
// Three doors, judged from a request's head before its body is read:
//   Host    a web page can make a browser resolve its own name to 127.0.0.1 (DNS
//           rebinding); the Host header then carries that name, so only loopback names and
//           those that the user configured pass.
//   Origin  a page of another site may send requests, though not read the answers; browsers
//           say so in Origin (and Sec-Fetch-Site), and such requests are refused.
//   key     needed as soon as one is set, and keys must be set to listen anywhere but on
//           loopback.
//
// Keys are kept as SHA-256 digests and compared in constant time, all of them each time.  They never
// reach a log or an answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error_status.h"
#include "base/digest.h"
#include "base/result.h"
#include "net/http_message.h"

namespace hearth::server {

struct ApiKey {
  std::string name;    // Whom receipts, metrics and fairness count it for.
  std::string secret;
  bool is_admin = false;  // Sees everybody's receipts and what left for them, not its own alone.
};

struct AccessOptions {
  std::string listen_address = "127.0.0.1";
  std::vector<ApiKey> keys;
  std::vector<std::string> host_names;  // Beside loopback: "hub.lan".
  std::vector<std::string> origins;     // Of pages that may call: "https://notes.example:8443".
};

inline constexpr std::size_t kApiKeyBytesMin = 8;

// Threading: immutable; any thread.
class Access {
 public:
  // kInvalidArgument: keys that are too short, unnamed or named twice, an address other than loopback
  // without a key, an origin that is none.
  static Result<Access> create(const AccessOptions& options);

  // Why a request may not pass; nothing if it may.  `public_path`: needs no key.
  std::optional<api::ApiError> judge(const net::ServerRequest& request, bool public_path) const;

  // The name of the request's key; empty where the hub has no keys, or it has none of them.
  std::string key_name(const net::ServerRequest& request) const;

  // Whose receipts and bytes a request that passed may see: its key's alone.  Unset: everybody's, since the
  // hub has no keys or the key is an admin's.
  std::optional<std::string> sees_only(const net::ServerRequest& request) const;

  // Whom the request counts for: its key's name, else the peer's address.
  std::string client_name(const net::ServerRequest& request) const;

  // True for an Origin header that the configuration names, which needs CORS headers to read answers.
  bool allows_origin(std::string_view origin) const;

 private:
  struct Key {
    std::string name;
    Sha256 digest;
    bool is_admin;
  };

  bool host_passes(std::string_view host) const;
  bool origin_passes(const net::ServerRequest& request) const;
  const Key* find_key(const net::ServerRequest& request) const;

  std::vector<Key> keys_;
  std::vector<std::string> host_names_;
  std::vector<std::string> origins_;
  bool loopback_only_ = true;
};

}  // namespace hearth::server
