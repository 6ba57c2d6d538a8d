#include "net/router.h"

#include "net/http_message.h"

namespace hearth::net {
namespace {

bool path_matches(std::string_view pattern, std::string_view path, std::string& rest) {
  if (pattern.ends_with("/*")) {
    const std::string_view prefix = pattern.substr(0, pattern.size() - 1);
    return path.size() > prefix.size() && path.starts_with(prefix) &&
           percent_decode(path.substr(prefix.size()), rest);
  }
  if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return path == pattern;
}

void add_allowed(std::string& allowed, std::string_view method) {
  if (!allowed.empty()) allowed += ", ";
  allowed += method == "GET" ? "GET, HEAD" : method;
}

}  // namespace

RouteMatch match_route(std::span<const Route> routes, std::string_view method, std::string_view path) {
  RouteMatch match;
  for (const Route& route : routes) {
    if (!path_matches(route.pattern, path, match.rest)) continue;
    if (route.method == method || (method == "HEAD" && route.method == "GET")) {
      match.kind = RouteMatch::Kind::kFound;
      match.id = route.id;
      return match;
    }
    match.kind = RouteMatch::Kind::kNoMethod;
    add_allowed(match.allowed, route.method);
  }
  return match;
}

}  // namespace hearth::net
