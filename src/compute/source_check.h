// What a kernel's source may not say, found before a compiler reads it.
//
// The compile jail is the wall: a compiler sees nothing but itself in there.  This is the sign
// before the wall, which says in a sentence what a kernel does without: headers and other files,
// and directives that change what the compiler's messages say about where they come from.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::compute {

// The source as it is compiled: as given, but an include of the prelude by name is blanked, since
// it is there already.  kInvalidArgument names the line and what is wrong with it.
Result<std::string> check_source(std::string_view source);

// The same for a kernel of a device, whose compilers follow an include wherever it stands: behind a
// comment, too.  `name` is the source's in messages.
Result<std::string> check_device_source(std::string_view source, std::string_view name);

}  // namespace hearth::compute
