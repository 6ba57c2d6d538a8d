// The web page, as it lies in the program.
//
// web/ is built by npm once (scripts/page), packed into one file with each part as it is, in gzip and in brotli, and
// embedded: the page needs no network but the hub that serves it, and serving it costs a look-up.  A program
// built without npm has no page; `/` then says in a sentence how to get one.
//
// The page's policy lets it run its own script and talk to its own hub, and nothing else: no inline script,
// no eval, no other host, no frame around it.  Trusted Types keep strings from becoming markup but through
// Lit's templates and DOMPurify (docs/design/0026-the-page.md).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "net/http_message.h"

namespace hearth::server {

struct PageBytes {
  std::uint32_t offset = 0, bytes = 0;  // In the pack; no bytes: there is no such form.
};

struct PageFile {
  std::string_view path;          // "/", "/assets/index-1a2b3c.js".
  std::string_view content_type;
  std::string_view tag;           // Of its content.
  bool name_has_hash = false;     // Its name changes with its content, so it may be kept for good.
  PageBytes plain, gzip, brotli;
};

struct Page {
  std::span<const PageFile> files;  // Empty: the program was built without the page.
  std::string_view pack;
};

// The page that is embedded in this program.
Page embedded_page();

// The file of a GET or HEAD, in the form that the client takes: 304 if it has it already, 404 if there is
// none.  "/" of an empty page is the sentence that says how to build it.
net::ServerResponse answer_page(const Page& page, const net::ServerRequest& request);

}  // namespace hearth::server
