#include "advisor/endpoint.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/ascii.h"

namespace hearth::advisor {
namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";

struct Network {
  const char* address;
  unsigned prefix_bits;
};
constexpr Network kLoopback = {"127.0.0.0", 8};
constexpr Network kPrivateNetworks[] = {
    {"10.0.0.0", 8}, {"172.16.0.0", 12}, {"192.168.0.0", 16}};

bool is_in(const std::string& host, const Network& network) {
  in_addr address{}, base{};
  if (::inet_pton(AF_INET, host.c_str(), &address) != 1) return false;
  ::inet_pton(AF_INET, network.address, &base);
  return (ntohl(address.s_addr) ^ ntohl(base.s_addr)) >> (32 - network.prefix_bits) == 0;
}

// libcurl takes "localhost" for loopback whatever a resolver says.
bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "[::1]" || is_in(host, kLoopback);
}

bool is_near(const std::string& host) {
  return is_loopback(host) ||
         std::ranges::any_of(kPrivateNetworks, [&](const Network& network) { return is_in(host, network); });
}

// The host of "HOST", "HOST:PORT" or "[V6]:PORT"; empty if it is none.
std::string host_of(std::string_view authority) {
  std::size_t end = authority.find(':');
  if (authority.starts_with('[')) {
    end = authority.find(']');
    if (end == std::string_view::npos) return "";
    ++end;
  }
  const std::string_view port = authority.substr(std::min(end, authority.size()));
  const bool port_ok =
      port.empty() ||
      (port.size() > 1 && port.size() <= 6 && port[0] == ':' &&
       std::ranges::all_of(port.substr(1), [](unsigned char c) { return std::isdigit(c) != 0; }));
  if (!port_ok) return "";
  return lower(authority.substr(0, end));
}

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& base_url, std::string_view key) {
  const auto refuse = [&](std::string_view why) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} {}; it should look like https://HOST/v1", key, why));
  };
  const bool is_https = base_url.starts_with(kHttps);
  if (!is_https && !base_url.starts_with(kHttp)) return refuse("is no http or https URL");
  if (std::ranges::any_of(base_url, [](char c) { return c <= ' ' || c > '~'; })) {
    return refuse("holds a character that no URL has");
  }
  if (base_url.find_first_of("@?#\\") != std::string::npos) {
    return refuse("holds credentials, a query or a fragment");  // Not echoed: it may be a secret.
  }
  std::string_view rest = std::string_view(base_url).substr((is_https ? kHttps : kHttp).size());
  const std::string host = host_of(rest.substr(0, rest.find('/')));
  if (host.empty()) return refuse("names no host");
  if (!is_https && !is_near(host)) {
    return refuse(fmt::format("sends conversations to '{}' unencrypted", host));
  }
  std::string_view base = base_url;
  while (base.ends_with('/')) base.remove_suffix(1);
  const bool is_openai = host == "api.openai.com";
  return Endpoint{.base = std::string(base),
                  .chat_url = std::string(base) + "/chat/completions",
                  .host = host,
                  .max_tokens_key = is_openai ? "max_completion_tokens" : "max_tokens",
                  .is_loopback = is_loopback(host)};
}

}  // namespace hearth::advisor
