// The names of what a store holds.
#pragma once

#include <cstddef>
#include <span>

#include "gguf/pack_format.h"

namespace hearth::store {

// The key of an object with these bytes: SHA-256 of layout, type, shape and bytes.
Sha256 object_key(const gguf::PackObject& object, std::span<const std::byte> bytes);

// The id of a pack with this table.
Sha256 pack_id(std::span<const gguf::PackObject> objects);

}  // namespace hearth::store
