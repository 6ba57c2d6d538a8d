#include "hub/tasks/task_router.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace hearth::hub {
namespace {

Result<> check(const TaskOptions& task, std::set<std::string>& seen) {
  if (task.name.empty() || task.name.size() > kTaskNameBytesMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("a task's name has {} bytes, 1 to {} are possible", task.name.size(), kTaskNameBytesMax));
  }
  if (!seen.insert(task.name).second) {
    return fail(Code::kInvalidArgument, fmt::format("two [[tasks]] have the name '{}'", task.name));
  }
  if (task.model == "auto" || task.model == "local") {
    return fail(Code::kInvalidArgument,
                fmt::format("task '{}' has the model '{}', which would ask the tasks again: name a model, or "
                            "none for the default",
                            task.name, task.model));
  }
  for (const std::string& text : task.examples) {
    if (!text.empty() && text.size() <= kTaskTextBytesMax) continue;
    return fail(Code::kInvalidArgument,
                fmt::format("an example of task '{}' has {} bytes, 1 to {} are possible", task.name, text.size(),
                            kTaskTextBytesMax));
  }
  return {};
}

TaskExamples examples_of(const TaskOptions& task) {
  TaskExamples examples{.name = task.name, .texts = task.examples};
  std::string tags;
  for (const std::string& tag : task.tags) tags += tag + " ";
  if (!tags.empty()) examples.texts.push_back(std::move(tags));
  return examples;
}

}  // namespace

Result<TaskRouter> TaskRouter::create(TaskRouterOptions options) {
  std::vector<TaskExamples> examples;
  std::set<std::string> seen;
  for (const TaskOptions& task : options.tasks) {
    HEARTH_TRY_VOID(check(task, seen));
    examples.push_back(examples_of(task));
  }
  HEARTH_TRY(TaskClassifier classifier, TaskClassifier::train(examples));
  return TaskRouter(std::move(options), std::move(classifier));
}

TaskChoice TaskRouter::choose(std::string_view text, const FindTagged& find_tagged) const {
  const std::vector<TaskClassifier::Score> ranked = classifier_.classify(text);
  const TaskOptions& best = options_.tasks[ranked[0].task];
  std::string measured = fmt::format("task '{}' with {:.2f}", best.name, ranked[0].probability);
  float second = 0;
  if (ranked.size() > 1) {
    second = ranked[1].probability;
    measured += fmt::format(", next '{}' with {:.2f}", options_.tasks[ranked[1].task].name, second);
  }
  if (ranked[0].probability - second < static_cast<float>(options_.margin)) {
    return {.why = fmt::format("{}: too close, so the default", measured)};
  }
  if (!best.model.empty()) return {.model = best.model, .why = std::move(measured)};
  if (best.tags.empty()) return {.why = fmt::format("{}: it has no model, so the default", measured)};
  std::string tagged = find_tagged(best.tags);
  if (tagged.empty()) return {.why = fmt::format("{}: no model has its tags, so the default", measured)};
  return {.model = std::move(tagged), .why = fmt::format("{}, by tags", measured)};
}

std::vector<std::pair<std::string, float>> TaskRouter::scores(std::string_view text) const {
  std::vector<std::pair<std::string, float>> named;
  for (const TaskClassifier::Score& score : classifier_.classify(text)) {
    named.emplace_back(options_.tasks[score.task].name, score.probability);
  }
  return named;
}

std::string_view task_text(const ChatRequest& request) {
  for (auto message = request.messages.rbegin(); message != request.messages.rend(); ++message) {
    if (message->role == Role::kUser && !message->content.empty()) return message->content;
  }
  return request.prompt;
}

}  // namespace hearth::hub
