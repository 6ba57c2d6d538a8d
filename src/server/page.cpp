#include "server/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "server/chat_answer.h"
#include "server/root_page.h"

namespace hearth::server {
namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html dompurify";

// The document that draws the program's own pictures with Mermaid, which writes styles as text.  No model's words
// come there, it may ask nobody for anything, and only the page may frame it.
constexpr std::string_view kDiagramPath = "/diagram.html";
constexpr std::string_view kDiagramPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'";

// Beside the policy: no site may open the page and keep a hand on it, read it, or learn where one came from.
net::HeaderList page_headers(std::string_view path) {
  return {{"Content-Security-Policy", std::string(path == kDiagramPath ? kDiagramPolicy : kPolicy)},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Referrer-Policy", "no-referrer"},
          {"Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"}};
}

net::ServerResponse no_page() {
  return {.content_type = "text/html; charset=utf-8",
          .body = std::string(kRootPage),
          .headers = {{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"}}};
}

struct Form {
  const char* coding;  // "" for the file as it is.
  PageBytes bytes;
};

// The smallest form that the client says it takes.  Weights are not weighed: a browser that names a coding
// takes it, and one that refuses it by "q=0" is given the file as it is.
Form choose_form(const PageFile& file, std::string_view accepted) {
  if (file.brotli.bytes > 0 && net::list_has_token(accepted, "br")) return {"br", file.brotli};
  if (file.gzip.bytes > 0 && net::list_has_token(accepted, "gzip")) return {"gzip", file.gzip};
  return {"", file.plain};
}

// Each form is a representation of its own, so it has a tag of its own.
std::string entity_tag(const PageFile& file, const Form& form) {
  return fmt::format("\"{}{}{}\"", file.tag, *form.coding != '\0' ? "-" : "", form.coding);
}

}  // namespace

net::ServerResponse answer_page(const Page& page, const net::ServerRequest& request) {
  if (page.files.empty() && request.path() == "/") return no_page();
  const auto file = std::ranges::find(page.files, request.path(), &PageFile::path);
  if (file == page.files.end()) {
    return error_response(api::api_error(404, fmt::format("The page has no file '{}'.", request.path())));
  }

  const Form form = choose_form(*file, request.header("Accept-Encoding"));
  const std::string tag = entity_tag(*file, form);
  net::ServerResponse response{.content_type = std::string(file->content_type), .headers = page_headers(file->path)};
  response.headers.emplace_back("ETag", tag);
  response.headers.emplace_back("Vary", "Accept-Encoding");
  response.headers.emplace_back("Cache-Control",
                                file->name_has_hash ? "public, max-age=31536000, immutable" : "no-cache");
  if (net::list_has_token(request.header("If-None-Match"), tag)) {
    response.status = 304;
    return response;
  }
  if (*form.coding != '\0') response.headers.emplace_back("Content-Encoding", form.coding);
  response.body = page.pack.substr(form.bytes.offset, form.bytes.bytes);
  return response;
}

}  // namespace hearth::server
