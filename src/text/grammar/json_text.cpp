#include "text/grammar/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/utf8.h"
#include "text/grammar/grammar.h"
#include "text/grammar/json_number.h"

namespace hearth::text::grammar {
namespace {

static_assert(kOpenDepthMax < 64);

const CodePoints kEscaped{{0, 0x1F}, {'"', '"'}, {'\\', '\\'}};
const CodePoints kHex{{'0', '9'}, {'A', 'F'}, {'a', 'f'}};

struct ShortEscape {
  char32_t code_point;
  std::string_view text;
};
constexpr ShortEscape kShortEscapes[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"},
                                         {'\f', "\\f"}, {'\n', "\\n"},  {'\r', "\\r"},
                                         {'\t', "\\t"}};

std::string escape_of(char32_t code_point) {
  for (const ShortEscape& row : kShortEscapes) {
    if (row.code_point == code_point) return std::string(row.text);
  }
  return fmt::format("\\u{:04x}", static_cast<std::uint32_t>(code_point));
}

// \uXXXX: any code unit that is no surrogate, or a pair of surrogates.
NodeId unicode_escape(Rules& rules) {
  const NodeId hex = rules.chars(kHex);
  const auto digits = [&](std::initializer_list<CodePointRange> set) {
    return rules.chars(CodePoints(set));
  };
  const NodeId no_surrogate = rules.choice({
      rules.sequence(
          {digits({{'0', '9'}, {'A', 'C'}, {'a', 'c'}, {'E', 'F'}, {'e', 'f'}}), hex, hex, hex}),
      rules.sequence({digits({{'D', 'D'}, {'d', 'd'}}), digits({{'0', '7'}}), hex, hex}),
  });
  const NodeId high = rules.sequence(
      {digits({{'D', 'D'}, {'d', 'd'}}), digits({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}), hex, hex});
  const NodeId low = rules.sequence({rules.bytes("\\u"), digits({{'D', 'D'}, {'d', 'd'}}),
                                     digits({{'C', 'F'}, {'c', 'f'}}), hex, hex});
  return rules.sequence(
      {rules.bytes("\\u"), rules.choice({no_surrogate, rules.sequence({high, low})})});
}

// Names by their code points, for string_except.
struct NameTrie {
  std::map<char32_t, NameTrie> children;
  bool is_name = false;
};

// What may follow the path to `trie`, up to the closing quote.
NodeId rest_except(Rules& rules, const NameTrie& trie, NodeId any_rest) {
  std::vector<NodeId> choices;
  CodePoints others = kEscaped.complement();
  for (const auto& [code_point, child] : trie.children) {
    others = others.without({{code_point, code_point}});
    choices.push_back(rules.sequence(
        {rules.chars({{code_point, code_point}}), rest_except(rules, child, any_rest)}));
  }
  choices.push_back(rules.sequence({rules.chars(others), any_rest}));
  if (!trie.is_name) choices.push_back(rules.bytes("\""));
  return rules.choice(std::move(choices));
}

}  // namespace

NodeId json_chars(Rules& rules, const CodePoints& set) {
  std::vector<NodeId> choices;
  const CodePoints plain = set.without(kEscaped);
  if (!plain.empty()) choices.push_back(rules.chars(plain));
  for (char32_t c = 0; c <= '\\'; ++c) {
    if (kEscaped.contains(c) && set.contains(c)) choices.push_back(rules.bytes(escape_of(c)));
  }
  return rules.choice(std::move(choices));
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    text.remove_prefix(c.length);
    if (kEscaped.contains(c.code_point))
      out += escape_of(c.code_point);
    else
      append_utf8(out, c.code_point);
  }
  return out + "\"";
}

JsonText::JsonText(Rules& rules)
    : rules_(rules),
      space_(rules.optional(rules.chars({{' ', ' '}, {'\n', '\n'}}))),
      comma_(rules.sequence({rules.bytes(","), space_})),
      plain_char_(rules.chars(kEscaped.complement())) {}

NodeId JsonText::string(std::uint32_t min, std::uint32_t max) {
  if (!char_) {
    char_ = rules_.declare("character");
    std::vector<NodeId> choices = {plain_char_, rules_.bytes("\\/"), unicode_escape(rules_)};
    for (const ShortEscape& row : kShortEscapes) choices.push_back(rules_.bytes(row.text));
    rules_.define(*char_, rules_.choice(std::move(choices)));
  }
  const NodeId quote = rules_.bytes("\"");
  // Written out where it is repeated, so that a long string keeps one state.
  const NodeId character = rules_[*char_].body;
  const bool is_open = min == 0 && max == kUnbounded;
  if (is_open && string_) return rules_.rule(*string_);
  const NodeId made = rules_.sequence({quote, rules_.repeat(character, min, max), quote});
  if (!is_open) return made;
  string_ = rules_.declare("string");
  rules_.define(*string_, made);
  return rules_.rule(*string_);
}

NodeId JsonText::string_except(const std::vector<std::string>& names) {
  NameTrie root;
  for (const std::string& name : names) {
    NameTrie* node = &root;
    for (std::string_view rest = name; !rest.empty();) {
      const Utf8Char c = decode_utf8(rest);
      node = &node->children[c.code_point];
      rest.remove_prefix(c.length);
    }
    node->is_name = true;
  }
  const NodeId any_rest = rules_.named(
      "name", rules_.sequence({rules_.repeat(plain_char_, 0, kUnbounded), rules_.bytes("\"")}));
  return rules_.sequence({rules_.bytes("\""), rest_except(rules_, root, any_rest)});
}

NodeId JsonText::boolean() { return rules_.choice({rules_.bytes("true"), rules_.bytes("false")}); }
NodeId JsonText::null() { return rules_.bytes("null"); }

NodeId JsonText::bracketed(char open, NodeId inside, char close) {
  return rules_.sequence({rules_.bytes(std::string_view(&open, 1)), space_, inside, space_,
                          rules_.bytes(std::string_view(&close, 1))});
}

NodeId JsonText::member(NodeId key, NodeId value) {
  return rules_.sequence({key, rules_.bytes(":"), space_, value});
}

NodeId JsonText::list(NodeId item, std::uint32_t min, std::uint32_t max) {
  if (max == 0) return rules_.empty();
  const NodeId more = rules_.sequence({comma_, item});
  const std::uint32_t more_max = max == kUnbounded ? kUnbounded : max - 1;
  const NodeId some =
      rules_.sequence({item, rules_.repeat(more, min == 0 ? 0 : min - 1, more_max)});
  return min == 0 ? rules_.optional(some) : some;
}

NodeId JsonText::value(std::uint32_t depth) { return open_rule(Open::kValue, depth); }
NodeId JsonText::object(std::uint32_t depth) { return open_rule(Open::kObject, depth); }
NodeId JsonText::array(std::uint32_t depth) { return open_rule(Open::kArray, depth); }

// One rule per kind and depth: depth 0 is a scalar, or a bracket with nothing inside.
NodeId JsonText::open_rule(Open kind, std::uint32_t depth) {
  std::optional<RuleId>& known = open_[static_cast<std::size_t>(kind)][depth];
  if (known) return rules_.rule(*known);
  known = rules_.declare("value");
  NodeId body;
  if (kind == Open::kValue) {
    body = rules_.choice(
        {string(), json_number(rules_), boolean(), null(), object(depth), array(depth)});
  } else if (kind == Open::kObject) {
    const NodeId members =
        depth == 0 ? rules_.empty() : list(member(string(), value(depth - 1)), 0, kUnbounded);
    body = bracketed('{', members, '}');
  } else {
    const NodeId items = depth == 0 ? rules_.empty() : list(value(depth - 1), 0, kUnbounded);
    body = bracketed('[', items, ']');
  }
  rules_.define(*known, body);
  return rules_.rule(*known);
}

}  // namespace hearth::text::grammar
