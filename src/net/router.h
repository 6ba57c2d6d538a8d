// Which handler answers a method and a path: a table of rows, matched in order.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::net {

// `pattern` is a whole path, or ends in "/*" for "and anything below it" (at least one character).
// `id` is the caller's, usually an index or an enumerator.
struct Route {
  std::string_view method;
  std::string_view pattern;
  int id;
};

struct RouteMatch {
  enum class Kind { kFound, kNoPath, kNoMethod } kind = Kind::kNoPath;
  int id = 0;
  std::string rest;     // What "/*" stood for, percent-decoded.
  std::string allowed;  // For kNoMethod: "GET, HEAD".
};

// HEAD matches the rows of GET.  A trailing slash does not matter, except for "/*".
RouteMatch match_route(std::span<const Route> routes, std::string_view method, std::string_view path);

}  // namespace hearth::net
