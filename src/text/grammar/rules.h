// A grammar as its front ends write it: rules whose bodies are small expression trees.
//
// JSON schemas, regular expressions and GBNF all end here; automaton.h begins here.  A
// node may be used in several places as long as the whole stays a graph without cycles:
// whatever is recursive goes through a rule.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar/code_points.h"

namespace hearth::text::grammar {

enum class NodeId : std::uint32_t {};
enum class RuleId : std::uint32_t {};

inline constexpr std::uint32_t kUnbounded = 0xFFFF'FFFF;
inline constexpr std::size_t kNodesMax = 200'000;
inline constexpr std::size_t kRulesMax = 10'000;

struct Node {
  enum class Kind : std::uint8_t {
    kBytes,     // Exactly `bytes`; empty ones match the empty text.
    kChars,     // One code point of `chars`; an empty set matches nothing at all.
    kSequence,  // `parts`, one after the other.
    kChoice,    // One of `parts`; without parts nothing at all.
    kRepeat,    // parts[0], `min` to `max` times.
    kRule,      // The body of `rule`.
  };
  Kind kind = Kind::kBytes;
  std::string bytes;
  CodePoints chars;
  std::vector<NodeId> parts;
  std::uint32_t min = 0;
  std::uint32_t max = 0;  // Or kUnbounded.
  RuleId rule{};
};

struct Rule {
  std::string name;  // For messages.
  NodeId body{};
  bool is_defined = false;
};

// Beyond kNodesMax or kRulesMax it takes in nothing more and says so by is_full(): front ends need
// not check each call, the compiler refuses the whole.
//
// Threading: externally synchronised.
class Rules {
 public:
  NodeId bytes(std::string_view text);
  NodeId chars(CodePoints set);
  NodeId sequence(std::vector<NodeId> parts);
  NodeId choice(std::vector<NodeId> parts);
  NodeId repeat(NodeId node, std::uint32_t min, std::uint32_t max);
  NodeId rule(RuleId id);
  NodeId empty() { return bytes({}); }
  NodeId never() { return choice({}); }
  NodeId optional(NodeId node) { return repeat(node, 0, 1); }

  RuleId declare(std::string name);
  void define(RuleId id, NodeId body);
  // Declares and defines.
  NodeId named(std::string name, NodeId body);

  void set_root(RuleId id) { root_ = id; }
  RuleId root() const { return root_; }
  const Node& operator[](NodeId id) const { return nodes_[static_cast<std::size_t>(id)]; }
  const Rule& operator[](RuleId id) const { return rules_[static_cast<std::size_t>(id)]; }
  std::size_t n_rules() const { return rules_.size(); }
  std::size_t n_nodes() const { return nodes_.size(); }
  bool is_full() const { return is_full_; }

 private:
  NodeId add(Node node);

  std::vector<Node> nodes_;
  std::vector<Rule> rules_;
  RuleId root_{};
  bool is_full_ = false;
};

}  // namespace hearth::text::grammar
