// What must be the same before advice that was given once is given again (advice_store.h).
#pragma once

#include <cstdint>
#include <string>

namespace hearth::advisor {

struct AdviceKey {
  std::string client;   // Who asks.
  std::string gives;    // The class that the privacy policy gives.
  std::string adviser;  // The first of those that are asked.
  std::string model;    // The local one, with its quantisation and adapters.
  std::uint64_t context = 0;  // Of all that stood before the question.
};

}  // namespace hearth::advisor
