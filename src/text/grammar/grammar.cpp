#include "text/grammar/grammar.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "text/grammar/regex.h"
#include "text/grammar/stacks.h"

namespace hearth::text::grammar {
namespace {

Result<GrammarPtr> finish(std::string key, Rules rules, std::string name, NodeId body) {
  const RuleId root = rules.declare(std::move(name));
  rules.define(root, body);
  rules.set_root(root);
  HEARTH_TRY(Automaton automaton, compile(std::move(rules)));
  return std::make_shared<const Grammar>(Grammar{std::move(key), std::move(automaton)});
}

}  // namespace

Result<GrammarPtr> compile_regex(std::string_view pattern) {
  if (pattern.size() > kSourceBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("the regular expression has {} bytes, at most {} are taken",
                            pattern.size(), kSourceBytesMax));
  }
  Rules rules;
  HEARTH_TRY(const NodeId body, add_regex(rules, pattern));
  return finish(fmt::format("regex\n{}", pattern), std::move(rules), "the regular expression",
                body);
}

Result<GrammarPtr> compile_choice(std::span<const std::string> choices) {
  if (choices.empty() || choices.size() > kChoicesMax) {
    return fail(Code::kInvalidArgument, fmt::format("there are {} choices, 1 to {} are taken",
                                                    choices.size(), kChoicesMax));
  }
  Rules rules;
  std::string key = "choice\n";
  std::vector<NodeId> nodes;
  for (const std::string& choice : choices) {
    if (choice.empty() || !is_valid_utf8(choice)) {
      return fail(Code::kInvalidArgument, "a choice is empty or not valid UTF-8");
    }
    key += fmt::format("{}:{}", choice.size(), choice);
    nodes.push_back(rules.bytes(choice));
  }
  if (key.size() > kSourceBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("the choices have {} bytes, at most {} are taken", key.size(),
                            kSourceBytesMax));
  }
  const NodeId body = rules.choice(std::move(nodes));
  return finish(std::move(key), std::move(rules), "the choices", body);
}

bool matches(const Grammar& grammar, std::string_view text) {
  Stacks stacks(grammar.automaton);
  SetId set = stacks.start();
  for (const char byte : text) set = stacks.step(set, static_cast<std::uint8_t>(byte));
  return stacks.has(set, kEndFrame);
}

}  // namespace hearth::text::grammar
