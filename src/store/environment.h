// The environment's folders, as the programs read them whose models are looked for.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace hearth::store {

// The value of an environment variable; empty if it is unset or empty.
std::string environment(const char* name);

std::filesystem::path home(std::string_view below);   // In $HOME; empty if there is none.
std::filesystem::path cache(std::string_view below);  // In $XDG_CACHE_HOME, else ~/.cache.
std::filesystem::path huggingface_home();             // $HF_HOME, else huggingface in the cache.

}  // namespace hearth::store
