// The OpenAPI 3.1 document of the server's routes: their table (routes.h) and the shapes of bodies
// (openapi_components.json), put together.
//
// Source of the form: https://spec.openapis.org/oas/v3.1.1.html
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/routes.h"

namespace hearth::server {

// `version`: Hearth's.
std::string render_openapi(std::string_view version);

// The components, as they lie in the program.
std::string_view openapi_components();

}  // namespace hearth::server
