#include "text/grammar/rules.h"

#include <utility>

namespace hearth::text::grammar {

NodeId Rules::add(Node node) {
  if (nodes_.size() >= kNodesMax) {
    is_full_ = true;
    return NodeId{0};
  }
  nodes_.push_back(std::move(node));
  return static_cast<NodeId>(nodes_.size() - 1);
}

NodeId Rules::bytes(std::string_view text) {
  return add({.kind = Node::Kind::kBytes, .bytes = std::string(text)});
}

NodeId Rules::chars(CodePoints set) {
  return add({.kind = Node::Kind::kChars, .chars = std::move(set)});
}

NodeId Rules::sequence(std::vector<NodeId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Node::Kind::kSequence, .parts = std::move(parts)});
}

NodeId Rules::choice(std::vector<NodeId> parts) {
  if (parts.size() == 1) return parts[0];
  return add({.kind = Node::Kind::kChoice, .parts = std::move(parts)});
}

NodeId Rules::repeat(NodeId node, std::uint32_t min, std::uint32_t max) {
  if (min == 1 && max == 1) return node;
  if (max == 0) return empty();
  return add({.kind = Node::Kind::kRepeat, .parts = {node}, .min = min, .max = max});
}

NodeId Rules::rule(RuleId id) { return add({.kind = Node::Kind::kRule, .rule = id}); }

RuleId Rules::declare(std::string name) {
  if (rules_.size() >= kRulesMax) {
    is_full_ = true;
    return RuleId{0};
  }
  rules_.push_back({.name = std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

void Rules::define(RuleId id, NodeId body) {
  if (rules_.empty()) return;  // Full from the start.
  Rule& rule = rules_[static_cast<std::size_t>(id)];
  rule.body = body;
  rule.is_defined = true;
}

NodeId Rules::named(std::string name, NodeId body) {
  const RuleId id = declare(std::move(name));
  define(id, body);
  return rule(id);
}

}  // namespace hearth::text::grammar
