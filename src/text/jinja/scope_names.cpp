// Which names a scope hides (ScopeInfo in ast.h).
//
// Jinja compiles each scope to Python variables.  A name whose first mention in a scope is an
// assignment, and that no scope around it mentions anywhere, starts as a new, undefined variable
// there; reading it in an inner scope before the assignment has run does not find the context's
// value.  A name that is read first, or first assigned in a branch of an `if`, starts with the
// value that it has outside.  So the parser notes the first mention of each name in each scope,
// and when the whole template is read the hidden names are what remains.
#include <vector>

#include "text/jinja/parser.h"

namespace hearth::text::jinja {

Parser::Frame* Parser::open_frame(Frame* parent) {
  auto* info = program_.arena.make<ScopeInfo>();
  return &frames_.emplace_back(Frame{parent, info, {}, 0});
}

void Parser::mention(NameId name, bool is_assigned) {
  frame_->assigned_first.try_emplace(static_cast<std::uint32_t>(name),
                                     is_assigned && frame_->branch_depth == 0);
}

void Parser::mention_target(const Target& target, bool is_parameter) {
  switch (target.kind) {
    case TargetKind::kName:
      return mention(target.name, !is_parameter);
    case TargetKind::kAttribute:
      return mention(target.name);
    case TargetKind::kTuple:
      for (const Target* item : target.items) mention_target(*item, is_parameter);
  }
}

void Parser::hide_names() {
  for (const Frame& frame : frames_) {
    std::vector<NameId> hidden;
    for (const auto& [name, is_assigned_first] : frame.assigned_first) {
      bool is_known_outside = false;
      for (const Frame* outer = frame.parent; outer && !is_known_outside; outer = outer->parent) {
        is_known_outside = outer->assigned_first.contains(name);
      }
      if (is_assigned_first && !is_known_outside) hidden.push_back(static_cast<NameId>(name));
    }
    frame.info->hidden = keep(hidden);
  }
}

}  // namespace hearth::text::jinja
