// policy.toml to a Policy.  A key that is not known is an error: a typo must not open a door.
//
//   default = "private"
//   keep = ["GPE", "DATE_TIME"]
//
//   [[rules]]
//   name = "keys"
//   class = "secret"
//   paths = ["**/.ssh/**", "**/*.pem"]
//
//   [[rules]]
//   class = "public"
//   headers = ["X-Project: website"]   # Of the HTTP request; the value is a glob.
//
//   [actions]                  # For every provider that has no table of its own.
//   public = "free"
//
//   [actions.openai]
//   private = "never"
//
//   [[expect]]
//   name = "keys stay here"
//   role = "tool"
//   path = "/home/me/.ssh/id_rsa"
//   action = "never"
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/ascii.h"
#include "base/digest.h"
#include "base/toml.h"
#include "privacy/policy.h"

namespace hearth::privacy {
namespace {

constexpr std::size_t kPolicyBytesMax = std::size_t{1} << 20;

// Reads tables and remembers the first thing that is wrong.
class PolicyReader {
 public:
  explicit PolicyReader(const std::string& name) : name_(name) {}

  Result<Policy> read(const toml::table& root) {
    Policy policy = Policy::standard();
    each(root, [&](const std::string& key, const toml::node& node) {
      if (key == "default") {
        policy.default_class = class_of(key, node);
      } else if (key == "keep") {
        policy.kept_types = texts(key, node);
      } else if (key == "rules") {
        tables(key, node, [&](const toml::table& table) { policy.rules.push_back(rule(table, policy.rules.size())); });
      } else if (key == "actions") {
        actions(node, policy);
      } else if (key == "expect") {
        tables(key, node, [&](const toml::table& table) { policy.expectations.push_back(expectation(table, policy.expectations.size())); });
      } else {
        unknown(key, node, "default, keep, rules, actions, expect");
      }
    });
    if (policy.rules.size() > kPolicyRulesMax) set(fmt::format("there are {} rules, at most {} are allowed", policy.rules.size(), kPolicyRulesMax));
    if (!problem_.empty()) return fail(Code::kInvalidArgument, fmt::format("'{}': {}", name_, problem_));
    return policy;
  }

 private:
  using Visit = std::function<void(const std::string& key, const toml::node& node)>;

  static void each(const toml::table& table, const Visit& visit) {
    for (const auto& [key, node] : table) visit(std::string(key.str()), node);
  }

  void tables(const std::string& key, const toml::node& node, const std::function<void(const toml::table&)>& visit) {
    const toml::array* const array = node.as_array();
    if (array == nullptr) return wrong(key, node, fmt::format("a list of tables ([[{}]])", key));
    for (const toml::node& element : *array) {
      if (element.as_table() == nullptr) return wrong(key, element, "a table");
      visit(*element.as_table());
    }
  }

  PolicyRule rule(const toml::table& table, std::size_t index) {
    PolicyRule rule{.name = fmt::format("{}", index + 1), .gives = Class::kSecret, .roles = {}, .tools = {}, .paths = {}, .headers = {}};
    bool has_class = false;
    each(table, [&](const std::string& key, const toml::node& node) {
      if (key == "name") {
        rule.name = text(key, node);
      } else if (key == "class") {
        rule.gives = class_of(key, node);
        has_class = true;
      } else if (key == "roles") {
        rule.roles = texts(key, node);
      } else if (key == "tools") {
        rule.tools = texts(key, node);
      } else if (key == "paths") {
        for (const std::string& path : texts(key, node)) rule.paths.push_back(plain_path(path, Parents::kKept));
      } else if (key == "headers") {
        for (const std::string& header : texts(key, node)) rule.headers.push_back(header_of(header, rule.name));
      } else {
        unknown(key, node, "name, class, roles, tools, paths, headers");
      }
    });
    if (!has_class) set(fmt::format("rule '{}' has no class", rule.name));
    for (const std::string& role : rule.roles) check_role(role, rule.name);
    return rule;
  }

  void check_role(const std::string& role, const std::string& where) {
    const bool is_known = role == "system" || role == "user" || role == "assistant" || role == "tool";
    if (!is_known) set(fmt::format("'{}' names the role '{}'; there are system, user, assistant and tool", where, role));
  }

  // "X-Project: acme" as sources have it; a rule without a name to look for would never fit.
  std::string header_of(const std::string& header, const std::string& where) {
    const std::size_t colon = header.find(": ");
    if (colon == 0 || colon == std::string::npos) {
      set(fmt::format("'{}' has the header '{}'; \"NAME: VALUE\" is expected, where VALUE may be a glob", where, header));
      return header;
    }
    return lower(header.substr(0, colon)) + header.substr(colon);
  }

  void actions(const toml::node& node, Policy& policy) {
    const toml::table* const table = node.as_table();
    if (table == nullptr) return wrong("actions", node, "a table");
    std::vector<Action>& common = policy.actions[""];
    read_actions(*table, common, /*has_providers=*/true);
    each(*table, [&](const std::string& key, const toml::node& inner) {
      if (inner.as_table() == nullptr) return;
      std::vector<Action> own = common;
      read_actions(*inner.as_table(), own, /*has_providers=*/false);
      policy.actions[key] = own;
    });
  }

  void read_actions(const toml::table& table, std::vector<Action>& actions, bool has_providers) {
    each(table, [&](const std::string& key, const toml::node& node) {
      if (node.as_table() != nullptr && has_providers) return;
      const auto of = class_from_name(key);
      if (!of) return unknown(key, node, "public, internal, private, secret, or a provider's table");
      actions[static_cast<std::size_t>(*of)] = action_of(key, node);
    });
  }

  Expectation expectation(const toml::table& table, std::size_t index) {
    Expectation expected{.name = fmt::format("expect {}", index + 1), .source = {}, .provider = {}, .gives = {}, .action = {}};
    each(table, [&](const std::string& key, const toml::node& node) {
      if (key == "name") {
        expected.name = text(key, node);
      } else if (key == "role") {
        expected.source.role = text(key, node);
      } else if (key == "tool") {
        expected.source.tool = text(key, node);
      } else if (key == "path") {
        expected.source.paths = {text(key, node)};
      } else if (key == "header") {
        expected.source.headers = {header_of(text(key, node), expected.name)};
      } else if (key == "provider") {
        expected.provider = text(key, node);
      } else if (key == "class") {
        expected.gives = class_of(key, node);
      } else if (key == "action") {
        expected.action = action_of(key, node);
      } else {
        unknown(key, node, "name, role, tool, path, header, provider, class, action");
      }
    });
    const bool is_of_tool = !expected.source.tool.empty() || !expected.source.paths.empty();
    if (expected.source.role.empty()) expected.source.role = is_of_tool ? "tool" : "user";
    check_role(expected.source.role, expected.name);
    if (!expected.gives && !expected.action) set(fmt::format("'{}' expects neither a class nor an action", expected.name));
    return expected;
  }

  std::string text(const std::string& key, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    if (!value || value->empty() || value->size() > kGlobBytesMax) {
      wrong(key, node, fmt::format("a text of 1 to {} bytes", kGlobBytesMax));
      return "";
    }
    return *value;
  }

  std::vector<std::string> texts(const std::string& key, const toml::node& node) {
    std::vector<std::string> values;
    const toml::array* const array = node.as_array();
    if (array == nullptr) {
      wrong(key, node, "a list of texts");
      return values;
    }
    for (const toml::node& element : *array) values.push_back(text(key, element));
    return values;
  }

  Class class_of(const std::string& key, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    const auto found = value ? class_from_name(*value) : std::nullopt;
    if (!found) wrong(key, node, "public, internal, private or secret");
    return found.value_or(Class::kSecret);
  }

  Action action_of(const std::string& key, const toml::node& node) {
    const auto value = node.value_exact<std::string>();
    const auto found = value ? action_from_name(*value) : std::nullopt;
    if (!found) wrong(key, node, "free, redacted, ask or never");
    return found.value_or(Action::kNever);
  }

  void wrong(const std::string& key, const toml::node& node, const std::string& expected) {
    set(fmt::format("line {}: {} must be {}", node.source().begin.line, key, expected));
  }
  void unknown(const std::string& key, const toml::node& node, std::string_view known) {
    set(fmt::format("line {}: '{}' is no key here; there are: {}", node.source().begin.line, key, known));
  }
  void set(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  const std::string& name_;
  std::string problem_;
};

}  // namespace

Result<Policy> parse_policy(std::string_view toml, const std::string& name) {
  if (toml.size() > kPolicyBytesMax) {
    return fail(Code::kInvalidArgument, fmt::format("'{}' has {} bytes, at most {} are read", name, toml.size(), kPolicyBytesMax));
  }
  const Result<toml::table> parsed = parse_toml(toml);
  if (!parsed) return fail(Code::kInvalidArgument, fmt::format("'{}' {}", name, parsed.error().message));
  HEARTH_TRY(Policy policy, PolicyReader(name).read(*parsed));
  policy.identity = hash64(toml);
  return policy;
}

}  // namespace hearth::privacy
