#include "cli/tasks.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "base/utf8.h"

namespace hearth::cli {
namespace {

constexpr std::size_t kExamplesBytesMax = std::size_t{16} << 20;

void add_lines(std::string_view text, std::vector<std::string>& lines) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") != line.npos) lines.push_back(sanitize_utf8(line));
  }
}

}  // namespace

Result<hub::TaskRouterOptions> task_options(const Config& config) {
  hub::TaskRouterOptions options{.margin = config.models.task_margin};
  for (const Config::Task& task : config.tasks) {
    hub::TaskOptions& made = options.tasks.emplace_back();
    made = {.name = task.name, .model = task.model, .tags = task.tags, .examples = task.examples};
    if (task.examples_file.empty()) continue;
    HEARTH_TRY(const std::string text, read_file(task.examples_file, kExamplesBytesMax));
    add_lines(text, made.examples);
  }
  return options;
}

}  // namespace hearth::cli
