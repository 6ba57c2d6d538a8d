// Where a format leaves a choice, what every reader accepts: RFC 3339 with its "Z" in capitals,
// hosts in lower case.  Dates are exact, leap years included.
#include "text/grammar/json_formats.h"

#include <algorithm>
#include <array>

namespace hearth::text::grammar {
namespace {

// Years 0001 to 9999.
#define HEARTH_YEAR "(?:[1-9]\\d{3}|0[1-9]\\d\\d|00[1-9]\\d|000[1-9])"
#define HEARTH_LEAP_YEAR                                    \
  "(?:(?:[1-9]\\d|0[1-9])(?:0[48]|[2468][048]|[13579][26])" \
  "|00(?:0[48]|[2468][048]|[13579][26])"                    \
  "|(?:0[48]|[2468][048]|[13579][26])00)"
#define HEARTH_DATE                              \
  "(?:" HEARTH_YEAR                              \
  "-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\\d|2[0-8])" \
  "|(?:0[13-9]|1[0-2])-(?:29|30)"                \
  "|(?:0[13578]|1[02])-31)"                      \
  "|" HEARTH_LEAP_YEAR "-02-29)"
#define HEARTH_TIME \
  "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define HEARTH_LABEL "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
#define HEARTH_HOST HEARTH_LABEL "(?:\\." HEARTH_LABEL "){0,4}"
#define HEARTH_OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define HEARTH_GROUP "[0-9a-fA-F]{1,4}"

struct Format {
  std::string_view name;
  std::string_view pattern;
};

constexpr auto kFormats = std::to_array<Format>({
    {"date", HEARTH_DATE},
    {"time", HEARTH_TIME},
    {"date-time", HEARTH_DATE "T" HEARTH_TIME},
    {"duration",
     "P(?:\\d{1,4}W|(?:\\d{1,4}Y(?:\\d{1,4}M(?:\\d{1,4}D)?)?|\\d{1,4}M(?:\\d{1,4}D)?|\\d{1,4}D)"
     "(?:T(?:\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?|\\d{1,4}M(?:\\d{1,4}S)?|\\d{1,4}S))?"
     "|T(?:\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?|\\d{1,4}M(?:\\d{1,4}S)?|\\d{1,4}S))"},
    {"uuid", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"},
    {"email", "[A-Za-z0-9_+-]{1,20}(?:\\.[A-Za-z0-9_+-]{1,20}){0,2}@" HEARTH_LABEL
              "(?:\\." HEARTH_LABEL "){1,3}"},
    {"hostname", HEARTH_HOST},
    {"ipv4", HEARTH_OCTET "(?:\\." HEARTH_OCTET "){3}"},
    {"ipv6",
     "(?:" HEARTH_GROUP ":){7}" HEARTH_GROUP "|::(?:" HEARTH_GROUP "(?::" HEARTH_GROUP "){0,5})?"
     "|" HEARTH_GROUP "::(?:" HEARTH_GROUP "(?::" HEARTH_GROUP "){0,4})?"
     "|" HEARTH_GROUP ":" HEARTH_GROUP "::(?:" HEARTH_GROUP "(?::" HEARTH_GROUP "){0,3})?"},
    {"uri", "[a-z][a-z0-9+.-]{0,11}://" HEARTH_HOST
            "(?::[1-9]\\d{0,3})?(?:/[A-Za-z0-9._~-]{0,40}){0,8}(?:\\?[A-Za-z0-9._~=&-]{0,80})?"
            "(?:#[A-Za-z0-9._~-]{0,40})?"},
});

}  // namespace

std::string_view pattern_of_format(std::string_view format) {
  const auto* row = std::ranges::find(kFormats, format, &Format::name);
  return row == kFormats.end() ? std::string_view() : row->pattern;
}

std::string known_formats() {
  std::string names;
  for (const Format& row : kFormats) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

}  // namespace hearth::text::grammar
