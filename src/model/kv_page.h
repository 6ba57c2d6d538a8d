// One token's keys and values into its slot of a page, in the page's type (kv_layout.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/kv_layout.h"

namespace hearth::model {

// Stores `key` or `value` [head_dim] in slot `slot` of a head's block.  Beyond what a scale can say
// (Q8_0: 8e6, Q4_0: 5e5) numbers are cut off; one that is none makes the whole group none.
//
// Threading: pure; slots of one block may be written at the same time.
void store_key(const KvLayout& layout, const float* key, std::uint32_t slot, std::byte* block);
void store_value(const KvLayout& layout, const float* value, std::uint32_t slot, std::byte* block);

// Zeroes what a whole page holds of the tokens from slot `first` on: what others left there must not
// travel with a page that ends early.
void clear_slots(const KvLayout& layout, std::uint32_t first, std::byte* page);

}  // namespace hearth::model
