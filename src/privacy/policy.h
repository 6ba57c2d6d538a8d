// The rules of what may leave: which class a text has, by where it came from, and what each class may
// do at each provider.
//
//   class     public < internal < private < secret
//   action    free: as it is; redacted: with placeholders; ask: only where somebody agreed; never
//
// Rules are tried in order and the first that fits gives a source its class; a source that no rule fits
// has the default class, which is private.  A source with several paths is judged by each of them, and the
// highest class counts, as it does where detours ("a/../b") may lead to two places.  What is made of several
// sources, an answer or a brief, has the highest class among all of them, whether or not their words are still
// in it: labels follow the text.  So a secret file that a tool read keeps the whole conversation at home.
//
// A policy brings its own tests ([[expect]]), and `check` also finds rules that no source can reach.
//
// Threading: const after reading; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::privacy {

enum class Class : std::uint8_t { kPublic, kInternal, kPrivate, kSecret };
enum class Action : std::uint8_t { kFree, kRedacted, kAsk, kNever };
inline constexpr std::size_t kClasses = 4;

std::string_view class_name(Class c);    // "public", ...
std::string_view action_name(Action a);  // "free", ...
std::optional<Class> class_from_name(std::string_view name);
std::optional<Action> action_from_name(std::string_view name);

// Where a piece of a conversation came from.
struct Source {
  std::string role;                // "system", "user", "assistant" or "tool".
  std::string tool;                // Of a tool's result: the tool's name.
  std::vector<std::string> paths;  // Files that it was made of, as the tool was told them.
  // Of the HTTP request that brought it: "name: value", the name in lower case; never a key or a cookie.
  std::vector<std::string> headers = {};
};
using Sources = std::vector<Source>;

// A path or name with '*' (not '/'), '**' (anything) and '?' (one byte but '/').
bool glob_matches(std::string_view glob, std::string_view text);

// A path without what changes nothing: "a//b/./c/" is "a/b/c".  Where a link may be, only the disk knows what
// ".." leads to: it stays, or goes as if there were none.
enum class Parents : std::uint8_t { kKept, kResolved };
std::string plain_path(std::string_view path, Parents parents);

struct PolicyRule {
  std::string name;
  Class gives = Class::kPrivate;
  // Each that is not empty must fit; one of its entries is enough.  Paths as plain_path has them, ".." kept.
  std::vector<std::string> roles, tools, paths, headers;

  bool fits(const Source& source) const;
};

struct Expectation {
  std::string name;
  Source source;
  std::string provider;  // Empty: any that has no actions of its own.
  std::optional<Class> gives;
  std::optional<Action> action;
};

// What a source or a conversation may do, and by which rule.
struct Verdict {
  Class gives = Class::kPrivate;
  Action action = Action::kNever;
  std::string rule;  // Its name, or "default".
};

struct Policy {
  Class default_class = Class::kPrivate;
  std::vector<PolicyRule> rules;
  // By class; the entry "" is for providers that have none.
  std::map<std::string, std::vector<Action>> actions;
  std::vector<std::string> kept_types;  // Of spans that are not replaced.
  std::vector<Expectation> expectations;
  std::uint64_t identity = 0;  // Of the text that it was read from: another one, another policy.

  // Private text leaves with placeholders, public text as it is, secret text never.  Dates, places,
  // nationalities, titles and ages stay: alone they name nobody, and without them advice is worth little.
  static Policy standard();

  Verdict judge(const Source& source, std::string_view provider) const;
  // Of all together; no sources: the default class.
  Verdict judge(const Sources& sources, std::string_view provider) const;

  bool keeps(std::string_view type) const;

  // One sentence for each expectation that fails and each rule that can never decide.
  std::vector<std::string> check() const;

 private:
  const PolicyRule* rule_of(const Source& source) const;
};

inline constexpr std::size_t kPolicyRulesMax = 1000;
inline constexpr std::size_t kGlobBytesMax = 512;
inline constexpr std::size_t kPathBytesMax = 4096;

// From TOML; `name` stands in messages.  kInvalidArgument names the line or the key.
Result<Policy> parse_policy(std::string_view toml, const std::string& name);

}  // namespace hearth::privacy
