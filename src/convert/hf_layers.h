// What families whose layers are not all alike say of them: internal to hf_*.cpp.  And how these read
// and refuse numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "convert/hf_config.h"

namespace hearth::convert {

std::unexpected<Error> refuse(const HfConfig& config, Code code, std::string_view what);
// kUnsupported: `what` this build does not convert.
std::unexpected<Error> unsupported(const HfConfig& config, std::string_view what);
// An integer from 1 to `max`.
Result<std::uint32_t> count(const HfConfig& config, std::string_view key, std::uint32_t max,
                            std::optional<std::uint32_t> fallback = {});
// "ARCH.suffix".
std::string key_of(const HfConfig& config, std::string_view suffix);

// Which layers have attention (config.has_attention), and the sizes of delta nets.
Result<> read_layer_kinds(HfConfig& config);

// Writes how many key-value heads each layer has, and what the others have in place of attention.
Result<> write_layer_kinds(const HfConfig& config, gguf::GgufWriter& out);

}  // namespace hearth::convert
