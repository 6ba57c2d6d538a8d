// Who answers a request that leaves the choice to the hub: a model, with its adapters, by what the
// request is about.
//
// The configuration declares tasks, each with examples, tags or both; a classifier tells them apart.  A
// task names its model, or is left to the models' own tags (GGUF `general.tags`): then the model, or
// adapter, that shares most tags with it is taken.  A task without a model and without tags means
// the default: it says what does not belong to the others.  Where no task is ahead of the next by the
// margin, the default answers as well.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/chat.h"
#include "hub/tasks/task_classifier.h"

namespace hearth::hub {

struct TaskOptions {
  std::string name;
  std::string model;                  // As requests name it, MODEL@ADAPTER and UPSTREAM/MODEL included.
  std::vector<std::string> tags;      // Words that models call themselves, too; they count as an example.
  std::vector<std::string> examples;  // Texts of such requests.
};

struct TaskRouterOptions {
  std::vector<TaskOptions> tasks;
  double margin = 0.4;  // Between the probabilities of the best task and the next.
};

inline constexpr std::size_t kTaskNameBytesMax = 64;
inline constexpr std::size_t kTaskTextBytesMax = 16 << 10;  // Of one example.

struct TaskChoice {
  std::string model;  // Empty: the default.
  std::string why;    // One sentence, for receipts and people.
};

// Threading: immutable.
class TaskRouter {
 public:
  // kInvalidArgument names the task that can't be one.
  static Result<TaskRouter> create(TaskRouterOptions options);

  // The name of the model that shares most of these tags; empty if none shares any.
  using FindTagged = std::function<std::string(const std::vector<std::string>& tags)>;
  TaskChoice choose(std::string_view text, const FindTagged& find_tagged) const;

  // Of every task by name, best first: for explanations.
  std::vector<std::pair<std::string, float>> scores(std::string_view text) const;

  const TaskRouterOptions& options() const { return options_; }

 private:
  TaskRouter(TaskRouterOptions options, TaskClassifier classifier)
      : options_(std::move(options)), classifier_(std::move(classifier)) {}

  TaskRouterOptions options_;
  TaskClassifier classifier_;
};

// What of a request tells its task: the user's last turn, or the prompt.
std::string_view task_text(const ChatRequest& request);

}  // namespace hearth::hub
