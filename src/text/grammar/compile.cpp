// From rules to an automaton: one unit per rule and per body of a counted loop.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "text/grammar/analysis.h"
#include "text/grammar/nfa.h"

namespace hearth::text::grammar {
namespace {

using Kind = Node::Kind;
constexpr std::uint32_t kSizeMax = 1U << 20;

class Compiler {
 public:
  explicit Compiler(Rules rules) : rules_(std::move(rules)) {}

  Result<Automaton> run() {
    if (rules_.is_full()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("the grammar takes more than {} parts or {} rules: make it smaller",
                              kNodesMax, kRulesMax));
    }
    for (std::size_t i = 0; i < rules_.n_rules(); ++i) {
      const Rule& rule = rules_[static_cast<RuleId>(i)];
      if (rule.is_defined) continue;
      return fail(Code::kInvalidArgument, fmt::format("the rule '{}' is not defined", rule.name));
    }
    find_nullable_rules();
    (void)unit_of(rules_.root());
    for (std::size_t i = 0; i < units_.size(); ++i) HEARTH_TRY_VOID(build(i));
    link();
    HEARTH_TRY_VOID(refuse_left_recursion(out_, units_));
    HEARTH_TRY_VOID(cut_what_never_ends(out_, units_));
    find_byte_classes(out_);
    return std::move(out_);
  }

 private:
  // ---- Which parts can match the empty text ----

  void find_nullable_rules() {
    nullable_.assign(rules_.n_rules(), false);
    for (bool changed = true; changed;) {
      changed = false;
      // Both ways in turn: chains of rules are written in either order.
      const auto visit = [&](std::size_t i) {
        if (nullable_[i] || !is_nullable(rules_[static_cast<RuleId>(i)].body)) return;
        nullable_[i] = changed = true;
      };
      for (std::size_t i = 0; i < nullable_.size(); ++i) visit(i);
      for (std::size_t i = nullable_.size(); i-- > 0;) visit(i);
    }
  }

  bool is_nullable(NodeId id) const {
    const Node& node = rules_[id];
    const auto is_part_nullable = [this](NodeId part) { return is_nullable(part); };
    switch (node.kind) {
      case Kind::kBytes:
        return node.bytes.empty();
      case Kind::kChars:
        return false;
      case Kind::kSequence:
        return std::ranges::all_of(node.parts, is_part_nullable);
      case Kind::kChoice:
        return std::ranges::any_of(node.parts, is_part_nullable);
      case Kind::kRepeat:
        return node.min == 0 || is_nullable(node.parts[0]);
      case Kind::kRule:
        return is_rule_nullable(node.rule);
    }
    return false;
  }

  bool is_rule_nullable(RuleId id) const {
    const auto i = static_cast<std::size_t>(id);
    return i < nullable_.size() && nullable_[i];  // Rules added since are never nullable.
  }

  // The same language without the empty text.
  NodeId non_empty(NodeId id) {
    if (!is_nullable(id)) return id;
    const Node node = rules_[id];  // A copy: adding nodes moves them.
    std::vector<NodeId> choices;
    switch (node.kind) {
      case Kind::kBytes:
        return rules_.never();
      case Kind::kChars:
        return id;
      case Kind::kSequence:
        for (std::size_t i = 0; i < node.parts.size(); ++i) {  // The first that is not empty.
          std::vector<NodeId> rest(node.parts.begin() + static_cast<std::ptrdiff_t>(i),
                                   node.parts.end());
          rest[0] = non_empty(rest[0]);
          choices.push_back(rules_.sequence(std::move(rest)));
        }
        return rules_.choice(std::move(choices));
      case Kind::kChoice:
        for (const NodeId part : node.parts) choices.push_back(non_empty(part));
        return rules_.choice(std::move(choices));
      case Kind::kRepeat:
        return rules_.repeat(non_empty(node.parts[0]), 1, node.max);
      case Kind::kRule:
        return non_empty_rule(node.rule);
    }
    return id;
  }

  NodeId non_empty_rule(RuleId id) {
    const auto known = non_empty_rules_.find(id);
    if (known != non_empty_rules_.end()) return rules_.rule(known->second);
    const RuleId made = rules_.declare(rules_[id].name);
    non_empty_rules_.emplace(id, made);
    rules_.define(made, non_empty(rules_[id].body));
    return rules_.rule(made);
  }

  // ---- Units ----

  Callee unit_of(RuleId id) {
    const auto [entry, is_new] = rule_units_.try_emplace(id, units_.size());
    if (is_new) {
      const Rule& rule = rules_[id];
      units_.push_back({.name = rule.name, .body = rule.body, .is_nullable = is_rule_nullable(id)});
    }
    return static_cast<Callee>(entry->second);
  }

  // A call of `body` as often as the repetition says.
  Callee loop_of(NodeId body, std::uint32_t min, std::uint32_t max) {
    if (is_nullable(body)) {
      body = non_empty(body);
      min = 0;
    }
    const auto [entry, is_new] = body_units_.try_emplace(body, units_.size());
    if (is_new) units_.push_back({.name = units_[current_].name, .body = body});
    out_.loops.push_back({static_cast<StateId>(entry->second), min, max});
    return kLoopBit | static_cast<Callee>(out_.loops.size() - 1);
  }

  Result<> build(std::size_t unit) {
    current_ = unit;
    Nfa nfa;
    lay(nfa, units_[unit].body, 0, 1);
    if (nfa.n_states() > kRuleNfaStatesMax || rules_.is_full()) {
      return fail(
          Code::kInvalidArgument,
          fmt::format("the rule '{}' takes more than {} states: make it simpler or split it",
                      units_[unit].name, kRuleNfaStatesMax));
    }
    nfa.finish();
    HEARTH_TRY(units_[unit].start, append_determinised(nfa, out_));
    return {};
  }

  // Lays `id` between two states.
  void lay(Nfa& nfa, NodeId id, std::uint32_t from, std::uint32_t to) {
    if (nfa.n_states() > kRuleNfaStatesMax) return;  // build() refuses it.
    const Node& node = rules_[id];
    switch (node.kind) {
      case Kind::kBytes:
        return lay_bytes(nfa, node.bytes, from, to);
      case Kind::kChars:
        return nfa.add_chars(from, to, node.chars);
      case Kind::kSequence:
        return lay_sequence(nfa, std::vector(node.parts), from, to);
      case Kind::kChoice:
        for (const NodeId part : std::vector(node.parts)) lay(nfa, part, from, to);
        return;
      case Kind::kRepeat:
        return lay_repeat(nfa, Node(node), from, to);
      case Kind::kRule:
        return nfa.add_call(from, to, unit_of(node.rule));
    }
  }

  static void lay_bytes(Nfa& nfa, std::string_view bytes, std::uint32_t from, std::uint32_t to) {
    if (bytes.empty()) return nfa.add_nothing(from, to);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::uint32_t next = i + 1 == bytes.size() ? to : nfa.add_state();
      const auto byte = static_cast<std::uint8_t>(bytes[i]);
      nfa.add_bytes(from, next, {byte, byte});
      from = next;
    }
  }

  void lay_sequence(Nfa& nfa, const std::vector<NodeId>& parts, std::uint32_t from,
                    std::uint32_t to) {
    if (parts.empty()) return nfa.add_nothing(from, to);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::uint32_t next = i + 1 == parts.size() ? to : nfa.add_state();
      lay(nfa, parts[i], from, next);
      from = next;
    }
  }

  // One copy with a way back, a few copies, or a counted loop.
  void lay_repeat(Nfa& nfa, const Node& node, std::uint32_t from, std::uint32_t to) {
    const NodeId body = node.parts[0];
    if (node.max == kUnbounded && node.min <= 1) {
      const std::uint32_t begin = nfa.add_state(), end = nfa.add_state();
      nfa.add_nothing(from, begin);
      lay(nfa, body, begin, end);
      nfa.add_nothing(end, begin);
      nfa.add_nothing(end, to);
      if (node.min == 0) nfa.add_nothing(from, to);
      return;
    }
    const bool is_optional = node.min == 0 && node.max == 1;
    if (!is_optional && size_of(node) > kInlineStatesMax) {
      return nfa.add_call(from, to, loop_of(body, node.min, node.max));
    }
    lay_copies(nfa, node, from, to);
  }

  void lay_copies(Nfa& nfa, const Node& node, std::uint32_t from, std::uint32_t to) {
    const bool is_bounded = node.max != kUnbounded;
    const std::uint32_t n_copies = is_bounded ? node.max : node.min;
    for (std::uint32_t i = 0; i < n_copies; ++i) {
      if (i >= node.min) nfa.add_nothing(from, to);
      // The end of each copy is a state of its own: a body may lead back to where it began.
      const std::uint32_t next = nfa.add_state();
      lay(nfa, node.parts[0], from, next);
      if (!is_bounded && i + 1 == n_copies) nfa.add_nothing(next, from);
      from = next;
    }
    nfa.add_nothing(from, to);
  }

  // About how many states a node takes when it is written out.
  std::uint32_t size_of(const Node& node) const {
    std::uint64_t size = 0;
    for (const NodeId part : node.parts) size += size_of(rules_[part]);
    if (node.kind == Kind::kRepeat) {
      size *= node.max == kUnbounded ? std::max(node.min, 1U) : node.max;
    }
    if (node.kind == Kind::kBytes) size = node.bytes.size();
    if (node.kind == Kind::kChars || node.kind == Kind::kRule) size = 1;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(size, kSizeMax));
  }

  // Replaces units by their start states.
  void link() {
    for (CallEdge& edge : out_.call_edges) {
      if ((edge.callee & kLoopBit) == 0) edge.callee = units_[edge.callee].start;
    }
    for (Loop& loop : out_.loops) loop.body = units_[loop.body].start;
    out_.start = units_[0].start;
  }

  Rules rules_;
  std::vector<bool> nullable_;  // By rule.
  std::map<RuleId, RuleId> non_empty_rules_;
  std::vector<Unit> units_;
  std::map<RuleId, std::size_t> rule_units_;
  std::map<NodeId, std::size_t> body_units_;
  std::size_t current_ = 0;
  Automaton out_;
};

}  // namespace

Result<Automaton> compile(Rules rules) { return Compiler(std::move(rules)).run(); }

}  // namespace hearth::text::grammar
