// A request's fields as a table: a row for each that the protocol knows, in the order in which they are
// read.  Fields without a row are skipped.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

#include "api/chat_fields.h"

namespace hearth::api {

template <class Request>
struct Field {
  std::string_view name;
  Parsed<> (*set)(Request& request, std::string_view param, dom::element value);
};

// Sets what `table` knows of `body`, in the table's order; null is the same as absent.
template <class Request, std::size_t N>
Parsed<> set_fields(Request& request, dom::object body, const std::array<Field<Request>, N>& table) {
  for (const Field<Request>& field : table) {
    if (const auto value = member(body, field.name)) HEARTH_TRY_VOID(field.set(request, field.name, *value));
  }
  return {};
}

inline Parsed<> require(dom::object body, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (!member(body, name)) return missing(name);
  }
  return {};
}

// ---- What rows call ----

// A field of the part that the hub gets: `request.chat`.
template <auto Set, class Request>
Parsed<> set_chat(Request& request, std::string_view param, dom::element value) {
  return Set(request.chat, param, value);
}

template <auto Member, class Request>
Parsed<> set_bool(Request& request, std::string_view param, dom::element value) {
  HEARTH_TRY(request.*Member, as_bool(param, value));
  return {};
}

template <auto Member, class Request>
Parsed<> set_chat_bool(Request& request, std::string_view param, dom::element value) {
  HEARTH_TRY(request.chat.*Member, as_bool(param, value));
  return {};
}

}  // namespace hearth::api
