#include "privacy/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace hearth::privacy {
namespace {

constexpr std::array<std::string_view, kClasses> kClassNames = {"public", "internal", "private", "secret"};
constexpr std::array<std::string_view, 4> kActionNames = {"free", "redacted", "ask", "never"};

template <class E, std::size_t N>
std::optional<E> from_name(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) return std::nullopt;
  return static_cast<E>(found - names.begin());
}

bool is_too_long(const std::string& text) { return text.size() > kPathBytesMax; }

// What is in a folder speaks of it: "a/**" is also about "a".
bool path_matches(std::string_view glob, std::string_view path) {
  return glob_matches(glob, path) || (glob.ends_with("/**") && glob_matches(glob, std::string(path) + "/"));
}

// Whether a rule's globs leave a source in.  What is too long to look at fits every rule about it.
bool any_fits(const std::vector<std::string>& globs, const std::vector<std::string>& texts,
              bool (*matches)(std::string_view glob, std::string_view text)) {
  if (globs.empty()) return true;
  return std::ranges::any_of(texts, [&](const std::string& text) {
    return is_too_long(text) || std::ranges::any_of(globs, [&](const std::string& glob) { return matches(glob, text); });
  });
}

// Whether all that `later` can match in one list, `earlier` matches, too.
bool covers(const std::vector<std::string>& earlier, const std::vector<std::string>& later) {
  if (earlier.empty()) return true;
  if (later.empty()) return false;
  return std::ranges::all_of(later, [&](const std::string& entry) {
    return std::ranges::any_of(earlier, [&](const std::string& glob) { return glob == entry || glob == "**" || (entry.find('*') == entry.npos && glob_matches(glob, entry)); });
  });
}

bool covers(const PolicyRule& earlier, const PolicyRule& later) {
  return covers(earlier.roles, later.roles) && covers(earlier.tools, later.tools) && covers(earlier.paths, later.paths) &&
         covers(earlier.headers, later.headers);
}

// Why no source can reach a rule; empty if one can.
std::string unreachable(const std::vector<PolicyRule>& rules, std::size_t at) {
  const PolicyRule& rule = rules[at];
  const bool is_of_tools = !rule.tools.empty() || !rule.paths.empty();
  if (is_of_tools && !rule.roles.empty() && std::ranges::find(rule.roles, "tool") == rule.roles.end()) {
    return "it names tools or paths, which only sources of the role \"tool\" have";
  }
  for (std::size_t i = 0; i < at; ++i) {
    if (covers(rules[i], rule)) return fmt::format("rule '{}' before it takes all that it could", rules[i].name);
  }
  return "";
}

}  // namespace

std::string_view class_name(Class c) { return kClassNames[static_cast<std::size_t>(c)]; }
std::string_view action_name(Action a) { return kActionNames[static_cast<std::size_t>(a)]; }
std::optional<Class> class_from_name(std::string_view name) { return from_name<Class>(kClassNames, name); }
std::optional<Action> action_from_name(std::string_view name) { return from_name<Action>(kActionNames, name); }

bool glob_matches(std::string_view glob, std::string_view text) {
  // reach[i]: whether the glob so far can match the first i bytes.
  std::vector<bool> reach(text.size() + 1);
  reach[0] = true;
  for (std::size_t g = 0; g < glob.size(); ++g) {
    if (glob[g] == '*') {
      const bool is_deep = g + 1 < glob.size() && glob[g + 1] == '*';
      if (is_deep) ++g;
      // "**/" also stands for no folder at all.
      const bool may_be_nothing = is_deep && g + 1 < glob.size() && glob[g + 1] == '/';
      const std::vector<bool> before = reach;
      for (std::size_t i = 0; i < text.size(); ++i) {
        if (reach[i] && (is_deep || text[i] != '/')) reach[i + 1] = true;
      }
      if (may_be_nothing) {
        ++g;
        std::vector<bool> behind_slash(text.size() + 1);
        for (std::size_t i = 0; i < text.size(); ++i) {
          if (reach[i] && text[i] == '/') behind_slash[i + 1] = true;
        }
        for (std::size_t i = 0; i <= text.size(); ++i) reach[i] = behind_slash[i] || before[i];
      }
      continue;
    }
    for (std::size_t i = text.size(); i > 0; --i) {
      const bool fits = glob[g] == text[i - 1] || (glob[g] == '?' && text[i - 1] != '/');
      reach[i] = reach[i - 1] && fits;
    }
    reach[0] = false;
  }
  return reach[text.size()];
}

std::string plain_path(std::string_view path, Parents parents) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != ".." || parents == Parents::kKept) {
      parts.push_back(part);
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!path.starts_with('/')) {
      parts.push_back(part);
    }
  }
  return fmt::format("{}{}", path.starts_with('/') ? "/" : "", fmt::join(parts, "/"));
}

bool PolicyRule::fits(const Source& source) const {
  if (!roles.empty() && std::ranges::find(roles, source.role) == roles.end()) return false;
  const auto is_tool = [&](const std::string& glob) { return glob_matches(glob, source.tool); };
  if (!tools.empty() && std::ranges::none_of(tools, is_tool)) return false;
  return any_fits(paths, source.paths, path_matches) && any_fits(headers, source.headers, glob_matches);
}

Policy Policy::standard() {
  Policy policy;
  policy.actions[""] = {Action::kFree, Action::kRedacted, Action::kRedacted, Action::kNever};
  policy.kept_types = {"GPE", "NRP", "DATE_TIME", "TITLE", "AGE"};
  return policy;
}

// Which rule decides about a source with one path at most; null: none.
const PolicyRule* Policy::rule_of(const Source& source) const {
  const bool is_guess = std::ranges::any_of(source.paths, is_too_long) || std::ranges::any_of(source.headers, is_too_long);
  const PolicyRule* highest = nullptr;
  for (const PolicyRule& rule : rules) {
    if (!rule.fits(source)) continue;
    if (!is_guess) return &rule;
    if (rule.gives > (highest == nullptr ? default_class : highest->gives)) highest = &rule;
  }
  return highest;
}

Verdict Policy::judge(const Source& source, std::string_view provider) const {
  const auto verdict_of = [&](const Source& one) {
    const PolicyRule* const rule = rule_of(one);
    return rule == nullptr ? Verdict{.gives = default_class, .rule = "default"} : Verdict{.gives = rule->gives, .rule = rule->name};
  };
  std::optional<Verdict> highest;
  Source one{.role = source.role, .tool = source.tool, .paths = {}, .headers = source.headers};
  for (const std::string& path : source.paths) {
    for (const Parents parents : {Parents::kKept, Parents::kResolved}) {
      if (parents == Parents::kResolved && path.find("..") == path.npos) continue;  // The same.
      one.paths = {plain_path(path, parents)};
      Verdict verdict = verdict_of(one);
      if (!highest || verdict.gives > highest->gives) highest = std::move(verdict);
    }
  }
  Verdict verdict = highest ? *std::move(highest) : verdict_of(source);
  auto found = actions.find(std::string(provider));
  if (found == actions.end()) found = actions.find("");
  if (found != actions.end()) verdict.action = found->second[static_cast<std::size_t>(verdict.gives)];
  return verdict;
}

Verdict Policy::judge(const Sources& sources, std::string_view provider) const {
  if (sources.empty()) return judge(Source{}, provider);
  Verdict highest = judge(sources.front(), provider);
  for (const Source& source : sources) {
    Verdict verdict = judge(source, provider);
    if (verdict.gives > highest.gives) highest = std::move(verdict);
  }
  return highest;
}

bool Policy::keeps(std::string_view type) const {
  return std::ranges::find(kept_types, type) != kept_types.end();
}

std::vector<std::string> Policy::check() const {
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string why = unreachable(rules, i);
    if (!why.empty()) problems.push_back(fmt::format("rule '{}' can never decide: {}", rules[i].name, why));
  }
  for (const Expectation& expected : expectations) {
    const Verdict verdict = judge(expected.source, expected.provider);
    if (expected.gives && *expected.gives != verdict.gives) {
      problems.push_back(fmt::format("'{}': class {} expected, rule '{}' gives {}", expected.name, class_name(*expected.gives), verdict.rule, class_name(verdict.gives)));
    }
    if (expected.action && *expected.action != verdict.action) {
      problems.push_back(fmt::format("'{}': action {} expected, {} for class {} by rule '{}'", expected.name, action_name(*expected.action), action_name(verdict.action), class_name(verdict.gives), verdict.rule));
    }
  }
  return problems;
}

}  // namespace hearth::privacy
