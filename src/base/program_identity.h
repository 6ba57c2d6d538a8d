// Which program this is: what a cache on disk must know before it believes what another run wrote.
#pragma once

#include <cstdint>

namespace hearth {

// Equal for runs of the same executable, different for builds of different code: the linker's build
// id (the GNU note), or where there is none, the file's size and time.  Never 0.
//
// Threading: any thread; found out once.
std::uint64_t program_identity();

}  // namespace hearth
