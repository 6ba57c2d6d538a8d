#include "server/access.h"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>

#include "net/http_server.h"

namespace hearth::server {
namespace {

using net::equals_ignoring_case;

// "[::1]:80" becomes "::1", "localhost:80" becomes "localhost".
std::string_view host_without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.rfind(':'));
}

bool is_ip_literal(std::string_view host) {
  return host.find(':') != std::string_view::npos ||
         (!host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos);
}

// The key of a request, however it carries one: `Authorization: Bearer KEY` or `x-api-key: KEY`.
std::string_view presented_key(const net::ServerRequest& request) {
  const std::string_view authorization = request.header("Authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() > kBearer.size() &&
      equals_ignoring_case(authorization.substr(0, kBearer.size()), kBearer)) {
    return authorization.substr(kBearer.size());
  }
  return request.header("x-api-key");
}

Result<> check_key(const ApiKey& key, const std::vector<ApiKey>& all) {
  if (key.name.empty()) return fail(Code::kInvalidArgument, "an API key has no name; give it one");
  if (key.secret.size() < kApiKeyBytesMin) {
    return fail(Code::kInvalidArgument,
                fmt::format("the API key '{}' has {} characters, at least {} are needed", key.name,
                            key.secret.size(), kApiKeyBytesMin));
  }
  if (std::ranges::count(all, key.name, &ApiKey::name) > 1) {
    return fail(Code::kInvalidArgument, fmt::format("two API keys are named '{}'", key.name));
  }
  return {};
}

api::ApiError refusal(unsigned status, std::string_view message) {
  return api::api_error(status, message);
}

}  // namespace

Result<Access> Access::create(const AccessOptions& options) {
  Access access;
  access.loopback_only_ = net::is_loopback_address(options.listen_address);
  if (!access.loopback_only_ && options.keys.empty()) {
    return fail(Code::kInvalidArgument,
                fmt::format("listening on {} lets other machines in, which needs an API key: set one, or "
                            "listen on 127.0.0.1", options.listen_address));
  }
  for (const ApiKey& key : options.keys) {
    HEARTH_TRY_VOID(check_key(key, options.keys));
    access.keys_.push_back({key.name, sha256(key.secret), key.is_admin});
  }
  for (const std::string& origin : options.origins) {
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string::npos || origin.find('/', scheme + 3) != std::string::npos) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}' is no origin; one looks like https://notes.example:8443", origin));
    }
  }
  access.host_names_ = options.host_names;
  access.origins_ = options.origins;
  return access;
}

bool Access::host_passes(std::string_view host) const {
  const std::string_view name = host_without_port(host);
  if (net::is_loopback_address(name)) return true;
  // An address can't be rebound; one that is not loopback makes sense only when others may come in.
  if (!loopback_only_ && is_ip_literal(name)) return true;
  return std::ranges::any_of(host_names_,
                             [&](const std::string& own) { return equals_ignoring_case(own, name); });
}

bool Access::allows_origin(std::string_view origin) const {
  return std::ranges::any_of(
      origins_, [&](const std::string& own) { return equals_ignoring_case(own, origin); });
}

// Absent (no browser, or a plain navigation), our own page, or a configured one.
bool Access::origin_passes(const net::ServerRequest& request) const {
  const std::string_view origin = request.header("Origin");
  if (!origin.empty()) {
    return equals_ignoring_case(origin, fmt::format("http://{}", request.header("Host"))) ||
           allows_origin(origin);
  }
  // "same-site" is another port of this machine, as good as any other site.
  const std::string_view site = request.header("Sec-Fetch-Site");
  const bool embedded = (equals_ignoring_case(site, "cross-site") || equals_ignoring_case(site, "same-site")) &&
                        !equals_ignoring_case(request.header("Sec-Fetch-Mode"), "navigate");
  return !embedded;
}

const Access::Key* Access::find_key(const net::ServerRequest& request) const {
  const Sha256 presented = sha256(presented_key(request));
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (CRYPTO_memcmp(key.digest.data(), presented.data(), presented.size()) == 0) found = &key;
  }
  return found;
}

std::optional<api::ApiError> Access::judge(const net::ServerRequest& request, bool public_path) const {
  if (!host_passes(request.header("Host"))) {
    return refusal(403, "The Host header names neither this machine nor a configured host name; use "
                        "127.0.0.1 or localhost, or add the name to the configuration.");
  }
  if (!origin_passes(request)) {
    return refusal(403, "A web page of another site may not use this hub; add its origin to the "
                        "configuration to allow it.");
  }
  // A preflight carries no key; it is answered by the origin alone.
  if (keys_.empty() || public_path || request.method == "OPTIONS" || find_key(request) != nullptr) {
    return std::nullopt;
  }
  if (presented_key(request).empty()) {
    return refusal(401, "No API key: send one as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.");
  }
  return refusal(401, "The API key is not one of this hub's keys.");
}

std::string Access::key_name(const net::ServerRequest& request) const {
  const Key* key = keys_.empty() ? nullptr : find_key(request);
  return key != nullptr ? key->name : "";
}

std::optional<std::string> Access::sees_only(const net::ServerRequest& request) const {
  if (keys_.empty()) return std::nullopt;
  const Key* const key = find_key(request);
  HEARTH_CHECK(key != nullptr);  // judge() lets nobody else in.
  return key->is_admin ? std::nullopt : std::optional(key->name);
}

std::string Access::client_name(const net::ServerRequest& request) const {
  std::string name = key_name(request);
  return name.empty() ? request.peer_address : name;
}

}  // namespace hearth::server
