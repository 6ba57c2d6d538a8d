// A worker's side of the control socket (protocol.h): what its owner asks for, one after another.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sandbox/worker/loader.h"
#include "sandbox/worker/trouble.h"

namespace hearth::sandbox {

// Maps the run channel's page.
bool map_channel(Trouble& trouble);
// Has the process end with its owner.
bool hold_lifeline(Trouble& trouble);
// The first word to the owner; ends the process if there is no jail.
void tell_ready(bool jailed, const Trouble& trouble);
// The same of a jailed worker that has something to say: `bytes` of at most kSentenceBytes.
void tell_ready_with(const void* news, std::size_t bytes);

// How the image that `fd` has, of `file_bytes`, is loaded: loader.h's, or a device's.
using LoadImage = bool (*)(int fd, std::uint64_t file_bytes, Image& image, Trouble& trouble);
[[noreturn]] void serve_requests(LoadImage loader);

}  // namespace hearth::sandbox
