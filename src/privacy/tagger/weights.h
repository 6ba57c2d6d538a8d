#pragma once

#include <cstddef>
#include <span>

namespace hearth::privacy {

std::span<const std::byte> built_in_weights();

}  // namespace hearth::privacy
