// The built-in weights.
#include "privacy/tagger/weights.h"

#include "base/embedded_file.h"

HEARTH_EMBED_FILE(hearth_tagger, HEARTH_TAGGER_FILE);

namespace hearth::privacy {

std::span<const std::byte> built_in_weights() { return {hearth_tagger_begin, hearth_tagger_end}; }

}  // namespace hearth::privacy
