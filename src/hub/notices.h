// What the hub itself says in a conversation: fixed sentences, in one table, so that
// they can be read, improved and translated in one place.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::hub {

enum class Notice : std::uint8_t {
  // Unsure, and no adviser is set up.
  kUnsureNotConfigured,
  // Unsure, and the request, its model name or the configuration says that nothing may leave.
  kUnsureNotAllowed,
  // Unsure, and the adviser could not be asked or did not answer; followed by the reason.
  kUnsureNotAdvised,
  // Leads in advice that a model too small to rework it passes on; followed by the advice.
  kAdviceFollows,
  // Stands for an empty draft where a template needs an assistant's turn before the advice.
  kDraftWasUnsure,
  // Asks the local model to finish with the advice; followed by the advice.
  kFinishWithAdvice,
};

std::string_view notice(Notice which);

// The notice with `detail` put where the text says {}.
std::string notice(Notice which, std::string_view detail);

}  // namespace hearth::hub
