// How JSON spells things: the pieces that the JSON Schema front end is put together from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar/rules.h"

namespace hearth::text::grammar {

// One character of `set` inside of a string: as itself where JSON allows that, else as its escape.
NodeId json_chars(Rules& rules, const CodePoints& set);

// `text` between quotes, escaped where it must be.
std::string json_quoted(std::string_view text);

// The shared parts of all schemas of one grammar.
//
// Threading: externally synchronised.
class JsonText {
 public:
  explicit JsonText(Rules& rules);

  // At most one space or line break.  More is never needed, and a model at a high temperature could
  // write white space for ever.
  NodeId space() { return space_; }
  // A string of `min` to `max` code points, each plain or escaped in any way that JSON has.
  NodeId string(std::uint32_t min = 0, std::uint32_t max = kUnbounded);
  // A string that is none of `names`; it holds no escapes, so that no name comes in disguise.
  NodeId string_except(const std::vector<std::string>& names);
  NodeId boolean();
  NodeId null();
  // What a schema leaves open: at most `depth` objects or arrays around one another.
  NodeId value(std::uint32_t depth);
  NodeId object(std::uint32_t depth);
  NodeId array(std::uint32_t depth);

  // "{" or "[", what is inside, and the closing bracket, with spaces.
  NodeId bracketed(char open, NodeId inside, char close);
  // A comma between two members.
  NodeId comma() { return comma_; }
  // `key` ":" `value`.
  NodeId member(NodeId key, NodeId value);
  // `first`, then `rest` after commas so often that there are `min` to `max` in all.
  NodeId list(NodeId item, std::uint32_t min, std::uint32_t max);

 private:
  enum class Open : std::uint8_t { kValue, kObject, kArray };
  NodeId open_rule(Open kind, std::uint32_t depth);

  Rules& rules_;
  NodeId space_;
  NodeId comma_;
  NodeId plain_char_;  // One that stands for itself.
  std::optional<RuleId> char_;
  std::optional<RuleId> string_;
  std::optional<RuleId> open_[3][64];
};

}  // namespace hearth::text::grammar
