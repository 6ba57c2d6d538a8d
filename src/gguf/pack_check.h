// Whether a stored model's bytes are still those that were imported, at the speed of memory: the
// sums of its objects, computed beside what runs.
#pragma once

#include <functional>

#include "base/result.h"
#include "gguf/gguf_file.h"

namespace hearth::gguf {

// kCorrupt naming the pack and the tensor at the first difference; that pack is marked as damaged
// then, which ends what computes with it.  kCancelled once `goes_on`, asked after each tensor, says
// no.  Nothing to do for a file that lies in no packs.
Result<> check_packs(const GgufFile& file, const std::function<bool()>& goes_on);

}  // namespace hearth::gguf
