// The shapes of bodies, from openapi_components.json.
#include "base/embedded_file.h"
#include "server/openapi.h"

HEARTH_EMBED_FILE(hearth_openapi, HEARTH_OPENAPI_COMPONENTS);

namespace hearth::server {

std::string_view openapi_components() {
  return {reinterpret_cast<const char*>(hearth_openapi_begin), static_cast<std::size_t>(hearth_openapi_end - hearth_openapi_begin)};
}

}  // namespace hearth::server
