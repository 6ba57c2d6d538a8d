// Addresses of the internet and of machines: e-mail, URLs, hosts, IPs, MACs, and user names in paths.
#pragma once

#include <optional>
#include <string_view>

#include "privacy/span.h"

namespace hearth::privacy {

std::optional<Span> find_email(std::string_view text, std::size_t at);  // `at` is the '@'.
// From the first letter of a scheme, of "www." or of a host with a well-known last part.
std::optional<Span> find_url(std::string_view text, std::size_t at);
std::optional<Span> find_ipv4(std::string_view text, std::size_t at);
std::optional<Span> find_ipv6(std::string_view text, std::size_t at);
std::optional<Span> find_mac(std::string_view text, std::size_t at);
// NAME of "/home/NAME/", "/Users/NAME/" and "\Users\NAME\"; `at` is the first slash.
std::optional<Span> find_user_in_path(std::string_view text, std::size_t at);

}  // namespace hearth::privacy
